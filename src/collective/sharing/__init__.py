"""Secret sharing with public commitments: polynomials, shares, dealings, and signatures put together from partials.

Everywhere an index is 0-based and its share sits at x = index + 1, since x = 0 is the secret (kyber share/poly.go).
"""
