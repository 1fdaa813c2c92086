// Finds the handler that _HANDLER names, by Lambda's rules.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { createRequire } = require('node:module');
const { HandlerNotFound, ImportModuleError, MalformedHandlerName, UserCodeSyntaxError } = require('./errors.js');

// User code sees itself required by the file that does it on Lambda ("Require stack:" of an import error).
const requireUser = createRequire(path.join(__dirname, 'index.mjs'));

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

const requireIfThere = (file) => (fs.existsSync(file) ? requireUser(file) : undefined);
const importIfThere = async (file) => (fs.existsSync(file) ? import(require('node:url').pathToFileURL(file).href) : undefined);

// Whether the nearest package.json makes .js files in the folder ES modules.
function isModuleFolder(folder) {
  if (folder.endsWith('/node_modules')) return false;
  const file = path.join(folder, 'package.json');
  if (fs.existsSync(file)) {
    try {
      const pkg = JSON.parse(fs.readFileSync(file));
      if (pkg) return pkg.type === 'module';
    } catch (err) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, err);
      return false;
    }
  }
  return folder === '/' ? false : isModuleFolder(path.resolve(folder, '..'));
}

async function loadModule(root, folder, name) {
  const file = path.resolve(root, folder, name);
  const plain = fs.existsSync(file) && fs.statSync(file).isFile() ? requireUser(file) : undefined;
  if (plain) return plain;
  const isModule = fs.existsSync(file + '.js') && isModuleFolder(path.dirname(file));
  const loaded =
    (!isModule && requireIfThere(file + '.js')) ||
    (isModule && (await importIfThere(file + '.js'))) ||
    (await importIfThere(file + '.mjs')) ||
    requireIfThere(file + '.cjs');
  if (loaded) return loaded;
  return requireUser(requireUser.resolve(name, { paths: [root, folder] }));
}

function setGlobals() {
  if (['1', 'true'].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[STREAMING] = 'response';
      if (typeof options?.highWaterMark === 'number') handler[HIGH_WATER_MARK] = parseInt(options.highWaterMark, 10);
      return handler;
    },
    get HttpResponseStream() { return require('./streaming.js').HttpResponseStream; },
  };
}

exports.load = async (root, name) => {
  if (name.includes('..')) {
    throw new MalformedHandlerName(
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const base = path.basename(name);
  const folder = name.substring(0, name.indexOf(base));
  const match = /^([^.]*)\.(.*)$/.exec(base);
  if (!match) throw new MalformedHandlerName('Bad handler');
  setGlobals();
  let app;
  try {
    app = await loadModule(root, folder, match[1]);
  } catch (err) {
    if (err instanceof SyntaxError) throw new UserCodeSyntaxError(err);
    if (err?.code === 'MODULE_NOT_FOUND') throw new ImportModuleError(err);
    throw err;
  }
  const handler = match[2].split('.').reduce((object, key) => object && object[key], app);
  if (!handler) throw new HandlerNotFound(`${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new HandlerNotFound(`${name} is not a function`);
  return handler;
};
