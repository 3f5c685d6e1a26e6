"""What the tests share; `from tests.helpers... import ...` finds it from any folder."""
