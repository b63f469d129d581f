"""labelmend learns from wrong annotations and hands back better ones."""

__version__ = "0.1.0"
