/**
 * Ends the program with one line on a version of Node.js that cannot run it. Every executable imports this file first
 * and the program afterwards, dynamically: an old version rejects the program's syntax. Written for Node.js 12.
 */

/** The oldest version that runs the programs; engines.node of package.json is the same. */
const [MAJOR, MINOR] = [20, 19];

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < MAJOR || (major === MAJOR && minor < MINOR)) {
  process.stderr.write(
    `lvs: Node.js ${process.versions.node} is not supported: expected ${MAJOR}.${MINOR} or newer (${process.execPath} runs this program)\n`,
  );
  process.exit(1);
}
