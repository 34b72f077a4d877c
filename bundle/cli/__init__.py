"""bundle/cli"""
