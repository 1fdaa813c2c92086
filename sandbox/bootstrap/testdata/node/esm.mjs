const value = await Promise.resolve('top-level await'); export const handler = async () => value;
