package admin

// newestRows holds the newest rows of a page that is read from its oldest row on: their bytes
// come to maxAnswerBytes and one row at most, and the oldest rows are left out. The zero
// value holds none.
type newestRows[T any] struct {
	rows  []T
	sizes []int // of the rows
	bytes int
	// cut says that rows were left out.
	cut bool
}

func (n *newestRows[T]) add(row T, size int) {
	n.rows, n.sizes = append(n.rows, row), append(n.sizes, size)
	for n.bytes += size; n.bytes > maxAnswerBytes && len(n.rows) > 1; n.cut = true {
		n.bytes -= n.sizes[0]
		n.rows, n.sizes = n.rows[1:], n.sizes[1:]
	}
}
