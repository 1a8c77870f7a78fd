"""Results that change hands: archives of run folders, and what can be checked of them."""
