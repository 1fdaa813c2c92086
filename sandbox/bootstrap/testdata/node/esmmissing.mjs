import 'not-there'; export const handler = async () => 1;
