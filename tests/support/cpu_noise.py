"""How much longer the same work takes, in CPU time, next to tests that use the same caches and cores: a bound of a quiet machine is multiplied by it.

What these tests guard against takes ten times the bound or more.
"""

CPU_NOISE = 4.0
