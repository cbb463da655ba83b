from collective.groups.bn.fp2 import add
from collective.groups.bn.functions import MillerFunctions


def value_at(fp2, function, point):
    x, y = point
    total = fp2.zero
    for j, c in enumerate(function.a):
        total = add(total, fp2.multiply(c, fp2.power(x, j)))
    for j, c in enumerate(function.b):
        total = add(total, fp2.multiply(fp2.multiply(c, fp2.power(x, j)), y))
    return fp2.reduce(total)


def test_a_function_of_a_point_is_zero_there_and_where_its_multiple_is_taken_back(suite):
    functions, g2, fp2 = MillerFunctions(suite.pairing._twist), suite.g2, suite.fp2
    t, u = g2.multiply(g2.generator(), 5), g2.multiply(g2.generator(), 7)
    walks = {
        2: (functions.double(t), g2.multiply(t, 2), [t]),
        4: (functions.quadruple(t), g2.multiply(t, 4), [t]),
        5: (functions.add(functions.quadruple(t), functions.first(t)), g2.multiply(t, 5), [t]),
        6: (
            functions.add(functions.quadruple(t), functions.double(u)),
            g2.add(g2.multiply(t, 4), g2.multiply(u, 2)),
            [t, u],
        ),
    }
    for m, (walk, end, zeros) in walks.items():
        assert walk.point == end
        for zero in (*zeros, g2.negate(end)):
            assert value_at(fp2, walk.function, zero) == fp2.zero
        assert value_at(fp2, walk.function, g2.generator()) != fp2.zero
        assert max(order for order, _ in walk.function.by_pole_order()) == m + 1
