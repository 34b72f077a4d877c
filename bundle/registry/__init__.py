"""bundle/registry"""
