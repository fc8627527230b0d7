/** The keys under which jobs are kept in a query client. */
export const jobKeys = {
  all: ['realtime', 'jobs'] as const,
  job: (jobId: string) => [...jobKeys.all, jobId] as const,
  events: (jobId: string) => [...jobKeys.job(jobId), 'events'] as const,
  status: (jobId: string) => [...jobKeys.job(jobId), 'status'] as const,
}
