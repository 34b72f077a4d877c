"""bundler/gates"""
