// The minimal buildpack in JavaScript: starts what `start.json` names, with the variables that stand there.
import * as app from "stave:buildpack/app@0.1.0";
import * as layers from "stave:buildpack/layers@0.1.0";

const FILE = "start.json";

export const detection = {
    detect: () => answered(() => (app.stat(FILE) ? { tag: "pass", val: [] } : { tag: "skip", val: `no ${FILE}` })),
};

export const construction = {
    build: () => answered(() => {
        const { command, env } = start();
        const layer = layers.create("environment", { launch: true });
        for (const name of Object.keys(env).sort()) {
            layer.setEnv({ tag: "launch" }, "default", name, env[name], null);
        }
        const web = { kind: "web", command, args: [], default: true, workingDirectory: null, execEnv: [] };
        return { processes: [web], labels: [], slices: [], unmet: [], store: [] };
    }),
};

// What the file says. One that cannot be understood is the app's failure.
function start() {
    const bytes = app.read(FILE, 1 << 20);
    try {
        const { command, env = {} } = JSON.parse(utf8(bytes));
        const texts = (list) => list.every((text) => typeof text === "string");
        if (!Array.isArray(command) || !texts(command)) throw new Error("`command` is not a list of texts");
        if (env === null || Array.isArray(env) || typeof env !== "object" || !texts(Object.values(env))) {
            throw new Error("`env` does not give names their texts");
        }
        return { command, env };
    } catch (error) {
        throw failure("app", `could not understand ${FILE}: ${error.message}`, { file: FILE });
    }
}

// The engine has no TextDecoder.
function utf8(bytes) {
    return decodeURIComponent(Array.from(bytes, (byte) => "%" + byte.toString(16).padStart(2, "0")).join(""));
}

// Does the work. Whatever is thrown becomes a failure of the contract: an error of the host, which comes as the payload of what is
// thrown, keeps its words, and one of this program is the buildpack's. Both say where they were thrown.
function answered(work) {
    try {
        return work();
    } catch (error) {
        if (error.blame) throw error;
        const { fault, message, hint } = error.payload ?? error;
        const environment = ["denied", "network", "io", "integrity"].includes(fault);
        throw failure(environment ? "environment" : "buildpack", message, { hint, detail: error.stack });
    }
}

function failure(blame, summary, { detail = null, hint = null, file = null }) {
    return { blame, summary, detail, hint, file, line: null };
}
