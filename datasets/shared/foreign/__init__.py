"""Folders of any making: what a small TOML says of one, and what is proposed for one."""
