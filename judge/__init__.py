"""Which model answers better: verdicts in both orders, averaged, with figures one can defend."""
