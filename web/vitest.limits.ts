/**
 * Limits of every test, for one that hangs. None is near the time that a test takes, also
 * on a machine that is busy: a test that fails does so because of a condition that it
 * waited for in vain, whose own limit is shorter, and which says what is missing.
 */
export const limits = {
  testTimeout: 240_000,
  hookTimeout: 240_000,
  expect: { poll: { timeout: 60_000, interval: 20 } },
}
