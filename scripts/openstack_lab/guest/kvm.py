def present():
    return False


def works(*a):
    return False
