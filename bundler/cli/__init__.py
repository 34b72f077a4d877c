"""bundler/cli"""
