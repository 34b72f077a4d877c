"""bundle/trust"""
