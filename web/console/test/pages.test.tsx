// @vitest-environment happy-dom
import { act, cleanup, renderHook } from '@testing-library/react'
import { afterEach, expect, test } from 'vitest'
import { usePages } from '../src/pages.js'

interface Page {
  items: number[]
  next?: number
}

afterEach(cleanup)

function list(first: Page) {
  const asked: { after: number; answer: (page: Page) => void }[] = []
  const load = (after: number) => new Promise<Page>((answer) => asked.push({ after, answer }))
  const beyond = (page: readonly number[]) => (row: number) => row > (page.at(-1) ?? 0)
  const { result, rerender } = renderHook((shown: { key: string; first: Page }) => usePages({ ...shown, load, beyond, maxRows: 5 }), { initialProps: { key: 'a', first } })
  return { asked, result, rerender, answer: (index: number, page: Page) => act(async () => asked[index]?.answer(page)) }
}

test('further pages follow the first one, each is loaded once, and what the first one covers is not repeated', async () => {
  const { asked, result, rerender, answer } = list({ items: [1, 2], next: 2 })
  result.current.more()
  result.current.more()
  await answer(0, { items: [3, 4], next: 4 })
  expect(result.current).toMatchObject({ rows: [1, 2, 3, 4], further: true })
  rerender({ key: 'a', first: { items: [2, 3], next: 3 } })
  expect(result.current.rows).toEqual([2, 3, 4])
  result.current.more()
  await answer(1, { items: [5, 6] })
  expect(result.current).toMatchObject({ rows: [2, 3, 4, 5, 6], further: false })
  result.current.more()
  expect(asked.map(({ after }) => after)).toEqual([2, 4])
})

test('a page that arrives after the list has become another one is left out', async () => {
  const { asked, result, rerender, answer } = list({ items: [1], next: 1 })
  result.current.more()
  rerender({ key: 'b', first: { items: [7], next: 7 } })
  result.current.more()
  await answer(0, { items: [2], next: 2 })
  expect(result.current.rows).toEqual([7])
  await answer(1, { items: [8] })
  expect(result.current.rows).toEqual([7, 8])
  expect(asked.map(({ after }) => after)).toEqual([1, 7])
})
