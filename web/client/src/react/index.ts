'use client'

/**
 * Hooks for React 19 on top of the client. All components that follow a job share
 * one store, and so one subscription, however often they are mounted.
 */
export { type JobEvents, type JobEventsOptions, type JobStatus, useJobEvents, useJobStatus } from './hooks.js'
export { RealtimeProvider, type RealtimeProviderProps, useRealtime, useRealtimeStatus } from './provider.js'
