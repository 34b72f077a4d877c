"""bundle/store"""
