"""installer/depot"""
