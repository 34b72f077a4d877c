"""installer/steps"""
