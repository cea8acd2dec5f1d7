"""Neural architecture search over what tasks share, by Stochastic Filter Groups."""
