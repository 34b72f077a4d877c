"""bundle/model"""
