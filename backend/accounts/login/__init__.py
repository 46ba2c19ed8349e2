"""Proving who one is: passwords, sessions and tokens, codes by SMS."""
