"""installer/preflight"""
