def handler(event, context):
    return 'small'
