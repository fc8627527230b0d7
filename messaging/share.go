package messaging

// Share is the number of connections of one gateway, or of several together.
type Share struct {
	Total     int            `json:"total"`
	PerOrigin map[string]int `json:"perOrigin,omitempty"`
}
