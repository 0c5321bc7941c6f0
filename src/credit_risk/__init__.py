"""What the demo project adds to the kit: its own rules, features and checks."""

__version__ = "0.1.0"
