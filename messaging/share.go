package messaging

// Share is the number of connections that one gateway, or several together, hold.
type Share struct {
	Total     int            `json:"total"`
	PerOrigin map[string]int `json:"perOrigin,omitempty"`
}
