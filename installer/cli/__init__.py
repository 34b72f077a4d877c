"""installer/cli"""
