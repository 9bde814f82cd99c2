/** System calls through koffi and the C library, with the kernel's results. */

/** Memory of this process by its address; a user address on Linux is below 2^47, which a number holds. */
export type Address = number;

/** The system calls that this project uses. All return the kernel's result: 0 or more, or a negative errno. */
export interface System {
  bpf(command: number, attributes: Address, size: number): number;
  /** Like `bpf`, in another thread, so that the event loop continues. The attributes must not change meanwhile. */
  bpfLater(command: number, attributes: Address, size: number): Promise<number>;
  open(path: string, flags: number): number;
  close(descriptor: number): number;
  read(descriptor: number, address: Address, length: number): number;
  write(descriptor: number, address: Address, length: number): number;
  ioctl(descriptor: number, request: number, argument: Address): number;
  socket(family: number, type: number, protocol: number): number;
  /** `address`, `length`: a struct sockaddr. */
  bind(descriptor: number, address: Address, length: number): number;
  /** `to`, `toLength`: a struct sockaddr. */
  sendTo(
    descriptor: number,
    address: Address,
    length: number,
    flags: number,
    to: Address,
    toLength: number,
  ): number;
  setsockopt(descriptor: number, level: number, option: number, value: Address, length: number): number;
  /** `length`: the address of a socklen_t. */
  getsockopt(descriptor: number, level: number, option: number, value: Address, length: Address): number;
  /** `descriptors`: an array of `count` struct pollfd. `timeout`: ms, -1: none. The event loop continues meanwhile. */
  poll(descriptors: Address, count: number, timeout: number): Promise<number>;
  /** Moves the calling thread to the namespace. */
  setns(descriptor: number, type: number): number;
  /** Changes an attribute of the calling thread (prctl(2)); further arguments are 0. */
  prctl(option: number, second: number, third: number): number;
  /** Returns the index of a network interface; 0: not found. */
  interfaceIndex(name: string): number;
  /** Returns the address, or a negative errno. */
  mmap(length: number, protection: number, flags: number, descriptor: number): Address;
  munmap(address: Address, length: number): number;
  /** Reserves the bytes of a file, so that writes to them cannot fail; a shorter file grows. */
  fallocate(descriptor: number, mode: number, offset: number, length: number): number;
  flock(descriptor: number, operation: number): number;
  /**
   * Returns the memory at an address, not a copy. It must not be unmapped while the buffer or a view of it is in use.
   */
  view(address: Address, length: number): ArrayBuffer;
}

/**
 * Numbers of system calls that the C library does not wrap (arch/x86/entry/syscalls,
 * include/uapi/asm-generic/unistd.h).
 */
const NUMBERS: Readonly<Partial<Record<NodeJS.Architecture, { readonly bpf: number }>>> = {
  x64: { bpf: 321 },
  arm64: { bpf: 280 },
};

/** System calls are not available; the message has the reason. */
export class SystemUnavailable extends Error {
  constructor(reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.name = 'SystemUnavailable';
  }
}

let loaded: Promise<System> | undefined;

/** Loads koffi at the first call. Rejects with SystemUnavailable. */
export function loadSystem(): Promise<System> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<System> {
  const numbers = NUMBERS[process.arch];
  if (process.platform !== 'linux' || !numbers)
    throw new SystemUnavailable(
      `${process.platform} on ${process.arch}: not supported: expected Linux on x64 or arm64`,
    );
  const { default: koffi } = await import('koffi').catch((cause: unknown) => {
    throw new SystemUnavailable('the package koffi is not installed, or its build failed', { cause });
  });
  const libc = koffi.load(null);
  // `syscall`, `open` and `ioctl` are variadic; both machines pass their first integer arguments like those of other functions.
  const bpf = libc.func('syscall', 'int64_t', ['int64_t', 'int64_t', 'uintptr_t', 'int64_t']);
  const open = libc.func('open', 'int', ['str', 'int', 'int']);
  const close = libc.func('close', 'int', ['int']);
  const read = libc.func('read', 'int64_t', ['int', 'uintptr_t', 'size_t']);
  const write = libc.func('write', 'int64_t', ['int', 'uintptr_t', 'size_t']);
  const ioctl = libc.func('ioctl', 'int', ['int', 'uint64_t', 'uintptr_t']);
  const socket = libc.func('socket', 'int', ['int', 'int', 'int']);
  const bind = libc.func('bind', 'int', ['int', 'uintptr_t', 'uint32_t']);
  const sendto = libc.func('sendto', 'int64_t', [
    'int',
    'uintptr_t',
    'size_t',
    'int',
    'uintptr_t',
    'uint32_t',
  ]);
  const setsockopt = libc.func('setsockopt', 'int', ['int', 'int', 'int', 'uintptr_t', 'uint32_t']);
  const getsockopt = libc.func('getsockopt', 'int', ['int', 'int', 'int', 'uintptr_t', 'uintptr_t']);
  const poll = libc.func('poll', 'int', ['uintptr_t', 'uint64_t', 'int']);
  const setns = libc.func('setns', 'int', ['int', 'int']);
  const prctl = libc.func('prctl', 'int', ['int', 'uint64_t', 'uint64_t', 'uint64_t', 'uint64_t']);
  const interfaceIndex = libc.func('if_nametoindex', 'uint32_t', ['str']);
  const mmap = libc.func('mmap', 'intptr_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t']);
  const munmap = libc.func('munmap', 'int', ['uintptr_t', 'size_t']);
  const fallocate = libc.func('fallocate', 'int', ['int', 'int', 'int64_t', 'int64_t']);
  const flock = libc.func('flock', 'int', ['int', 'int']);

  /** Returns a result; the C library reports errors by -1 and errno. */
  const result = (returned: number | bigint): number => {
    const value = Number(returned);
    return value === -1 ? -koffi.errno() : value;
  };
  /** Resolves with a result. The errno of another thread is not available: every failure is EIO. */
  const later = (
    call: (done: (error: Error | null, value: number | bigint) => void) => void,
  ): Promise<number> =>
    new Promise((resolve, reject) => {
      call((error, value) => (error ? reject(error) : resolve(Number(value) === -1 ? -EIO : Number(value))));
    });

  return {
    bpf: (command, attributes, size) => result(bpf(numbers.bpf, command, attributes, size)),
    bpfLater: (command, attributes, size) =>
      later((done) => bpf.async(numbers.bpf, command, attributes, size, done)),
    open: (path, flags) => result(open(path, flags, 0)),
    close: (descriptor) => result(close(descriptor)),
    read: (descriptor, address, length) => result(read(descriptor, address, length)),
    write: (descriptor, address, length) => result(write(descriptor, address, length)),
    ioctl: (descriptor, request, argument) => result(ioctl(descriptor, request, argument)),
    socket: (family, type, protocol) => result(socket(family, type, protocol)),
    bind: (descriptor, address, length) => result(bind(descriptor, address, length)),
    sendTo: (descriptor, address, length, flags, to, toLength) =>
      result(sendto(descriptor, address, length, flags, to, toLength)),
    setsockopt: (descriptor, level, option, value, length) =>
      result(setsockopt(descriptor, level, option, value, length)),
    getsockopt: (descriptor, level, option, value, length) =>
      result(getsockopt(descriptor, level, option, value, length)),
    poll: (descriptors, count, timeout) => later((done) => poll.async(descriptors, count, timeout, done)),
    setns: (descriptor, type) => result(setns(descriptor, type)),
    prctl: (option, second, third) => result(prctl(option, second, third, 0, 0)),
    interfaceIndex: (name) => Number(interfaceIndex(name)),
    mmap: (length, protection, flags, descriptor) =>
      result(mmap(0, length, protection, flags, descriptor, 0)),
    munmap: (address, length) => result(munmap(address, length)),
    fallocate: (descriptor, mode, offset, length) => result(fallocate(descriptor, mode, offset, length)),
    flock: (descriptor, operation) => result(flock(descriptor, operation)),
    view: (address, length) => koffi.view(BigInt(address), length),
  };
}

/** I/O error (include/uapi/asm-generic/errno-base.h). */
const EIO = 5;
