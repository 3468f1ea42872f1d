"""The parts of `bump`: what is asked, what changes, what must hold, what is told, and the way back."""
