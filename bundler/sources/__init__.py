"""bundler/sources"""
