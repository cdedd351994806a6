"""The parts of `tocsin setup mail`: what it asks, what it looks up, and how it tests each answer."""
