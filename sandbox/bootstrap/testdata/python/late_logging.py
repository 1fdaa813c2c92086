print('at init')


def handler(event, context):
    import logging
    logging.getLogger().warning('late')
