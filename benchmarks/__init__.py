"""Simulations of known truth: is the number that mlwf prints the one that comes true?"""
