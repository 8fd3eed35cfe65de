// An editor's way through rein's server: lldb-vscode is the debug adapter, and this the editor. client.js MODULES ADAPTER KIND, in a
// directory with program.c and program; KIND is how the process comes: "launch" (the server has started it, on a socket),
// "attach" (the server attached to it) or "start" (lldb starts the server itself, in place of its own).
const assert = require('assert');
const { spawn } = require('child_process');
const fs = require('fs');
const path = require('path');

const [modules, adapter, kind] = process.argv.slice(2);
const { DebugClient } = require(path.join(modules, '@vscode/debugadapter-testsupport'));
const LIMIT_MS = 60000;
const rein = process.env.REIN_BINARY;
const program = path.resolve('program');
const source = fs.realpathSync('program.c');
const lineOf = text => fs.readFileSync(source, 'utf8').split('\n').findIndex(line => line.includes(text)) + 1;
const children = [];

// rein serve: its port, when it listens.
function serve(...options) {
    const server = spawn(rein, ['serve', '--once', ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
    children.push(server);
    return new Promise((resolve, reject) => {
        let said = '';
        server.stderr.on('data', data => {
            said += data;
            const found = said.match(/Listening on port (\d+)/);
            if (found)
                resolve(found[1]);
        });
        server.on('exit', () => reject(new Error('the server ended: ' + said)));
    });
}

async function begin(client) {
    const settings = { initCommands: ['settings set symbols.enable-external-lookup false'], program, stopOnEntry: false };
    if (kind === 'start')
        return () => client.launchRequest({ ...settings, args: ['started'], env: ['GREETING=hello'] });
    let port;
    if (kind === 'attach') {
        const waiting = spawn(program, ['wait'], { stdio: ['pipe', 'pipe', 'inherit'] });
        children.push(waiting);
        await new Promise(resolve => waiting.stdout.once('data', resolve));
        port = await serve('-p', waiting.pid);
        waiting.stdin.end(); // it waits for that, and goes on when it runs again
    } else {
        port = await serve('--', program, 'served');
    }
    return () => client.attachRequest({ ...settings, attachCommands: [`gdb-remote ${port}`] });
}

async function session(client) {
    await client.start();
    const capabilities = (await client.initializeRequest()).body;
    assert(capabilities.supportsConditionalBreakpoints);
    const initialized = client.waitForEvent('initialized', LIMIT_MS);
    const go = await begin(client);
    const going = go();
    await initialized;

    // A breakpoint with a condition, which the server has the last word about: nobody is disturbed before it holds.
    const line = lineOf('// squares');
    const set = await client.setBreakpointsRequest({ source: { path: source }, breakpoints: [{ line, condition: 'value == 4' }] });
    assert(set.body.breakpoints[0].verified, JSON.stringify(set.body));
    const stopped = client.waitForEvent('stopped', LIMIT_MS);
    await Promise.all([client.configurationDoneRequest(), going]);
    let stop = (await stopped).body;
    if (stop.reason !== 'breakpoint') { // where it was when it was connected to
        const next = client.waitForEvent('stopped', LIMIT_MS);
        await client.continueRequest({ threadId: stop.threadId });
        stop = (await next).body;
    }
    assert.strictEqual(stop.reason, 'breakpoint', JSON.stringify(stop));
    const threadId = stop.threadId;
    assert((await client.threadsRequest()).body.threads.some(thread => thread.id === threadId));

    // Where it is, its variables, and what becomes of one that is set.
    const frames = (await client.stackTraceRequest({ threadId })).body.stackFrames;
    assert.deepStrictEqual(frames.slice(0, 2).map(frame => frame.name), ['square', 'main']);
    assert.strictEqual(frames[0].line, line);
    const frameId = frames[0].id;
    const scopes = (await client.scopesRequest({ frameId })).body.scopes;
    const variablesReference = scopes[0].variablesReference;
    const variables = (await client.variablesRequest({ variablesReference })).body.variables;
    assert.strictEqual(variables.find(variable => variable.name === 'value').value, '4');
    await client.setVariableRequest({ variablesReference, name: 'value', value: '5' });
    const evaluate = async expression =>
        (await client.evaluateRequest({ expression, frameId, context: 'watch' })).body.result;
    assert.strictEqual(await evaluate('value * 2'), '10');
    assert.strictEqual(await evaluate('square(7)'), '49');

    // A step, out of the function, and to the end.
    for (const [request, name] of [['nextRequest', 'square'], ['stepOutRequest', 'main']]) {
        const done = client.waitForEvent('stopped', LIMIT_MS);
        await client[request]({ threadId });
        assert.strictEqual((await done).body.reason, 'step');
        const frame = (await client.stackTraceRequest({ threadId, levels: 1 })).body.stackFrames[0];
        assert.strictEqual(frame.name, name);
    }
    const exited = client.waitForEvent('exited', LIMIT_MS);
    await client.continueRequest({ threadId });
    assert.strictEqual((await exited).body.exitCode, 42);
    await client.disconnectRequest({});
}

async function main() {
    const client = new DebugClient('env', adapter, 'lldb'); // it runs "RUNTIME EXECUTABLE"
    client.defaultTimeout = LIMIT_MS;
    let status = 0;
    try {
        await session(client);
    } catch (error) {
        console.error(error);
        status = 1;
    }
    await client.stop().catch(() => {});
    for (const child of children)
        child.kill('SIGKILL');
    process.exit(status);
}

main();
