"""`/`: what needs me first, then what goes on."""
