// Package dial makes SSH connections and implements conn.Dialer.
package dial
