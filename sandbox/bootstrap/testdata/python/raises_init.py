def fail():
    raise TypeError('at init')


fail()
