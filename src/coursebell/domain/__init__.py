"""What Coursebell knows, without a clock, I/O or a framework: the glossary and the rules."""
