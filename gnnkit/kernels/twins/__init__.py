"""The numpy twins: same names and signatures as the doors one floor up. Specification, oracle, and fallback."""
