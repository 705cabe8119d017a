// A live query by pgx, in one file: subscribe, read the first result, follow the messages.
//
//	pgx_client CONNECTION QUERY [PARAMETER...]
//
// Prints the result as one line of JSON, again whenever it has changed, until the live query or the connection ends.
// Written for pgx v4; v5 has the same calls.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v4"
)

const batch = 1000

type change struct {
	Op  string
	Key json.RawMessage
	Row json.RawMessage
}

type message struct {
	Type    string
	Changes []change
	More    bool
	Reason  string
}

// The rows by the JSON text of their key; several of one key only where rows can be equal.
type result map[string][]json.RawMessage

// One text for each key, however its JSON is spaced.
func identity(key json.RawMessage) string {
	var text bytes.Buffer
	if err := json.Compact(&text, key); err != nil {
		panic(err)
	}
	return text.String()
}

func (rows result) add(key, row json.RawMessage) {
	text := identity(key)
	rows[text] = append(rows[text], row)
}

func (rows result) remove(key json.RawMessage) {
	text := identity(key)
	rows[text] = rows[text][1:]
	if len(rows[text]) == 0 {
		delete(rows, text)
	}
}

func (rows result) clear() {
	for key := range rows {
		delete(rows, key)
	}
}

func (rows result) apply(change change) {
	if change.Op == "clear" {
		rows.clear()
		return
	}
	if change.Op != "insert" {
		rows.remove(change.Key)
	}
	if change.Op != "delete" {
		rows.add(change.Key, change.Row)
	}
}

func (rows result) show() error {
	all := []json.RawMessage{}
	for _, same := range rows {
		all = append(all, same...)
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

// In batches: one that is not full is the last. Changes are told only after that.
func (rows result) readSnapshot(ctx context.Context, connection *pgx.Conn) error {
	rows.clear()
	for count := batch; count == batch; {
		found, err := connection.Query(ctx, `SELECT key::text, "row"::text FROM live.snapshot($1, $2)`, "q", batch)
		if err != nil {
			return err
		}
		for count = 0; found.Next(); count++ {
			var key, row string
			if err := found.Scan(&key, &row); err != nil {
				return err
			}
			rows.add(json.RawMessage(key), json.RawMessage(row))
		}
		if err := found.Err(); err != nil {
			return err
		}
	}
	return nil
}

// follow returns how it has ended.
func follow(ctx context.Context, connection *pgx.Conn, query string, params []string) error {
	_, err := connection.Exec(ctx, "SELECT FROM live.subscribe($1, $2, $3::text[])", "q", query, params)
	if err != nil {
		return err
	}
	rows := result{}
	if err := rows.readSnapshot(ctx, connection); err != nil {
		return err
	}
	if err := rows.show(); err != nil {
		return err
	}
	for {
		// Also what has come along with the answer to a command. Nothing is told inside a transaction.
		notification, err := connection.WaitForNotification(ctx)
		if err != nil {
			return err // the connection is lost
		}
		var message message
		if err := json.Unmarshal([]byte(notification.Payload), &message); err != nil {
			return err
		}
		switch message.Type {
		case "changes":
			for _, change := range message.Changes {
				rows.apply(change)
			}
			if message.More {
				continue // the rest of this moment is still to come
			}
		case "reset": // changes were lost: begin again; nothing is told meanwhile
			if _, err := connection.Exec(ctx, "SELECT live.refresh($1)", "q"); err != nil {
				return err
			}
			if err := rows.readSnapshot(ctx, connection); err != nil {
				return err
			}
		case "terminated":
			return errors.New("the live query has ended: " + message.Reason)
		default:
			continue
		}
		if err := rows.show(); err != nil {
			return err
		}
	}
}

func run() error {
	ctx := context.Background()
	connection, err := pgx.Connect(ctx, os.Args[1])
	if err != nil {
		return err
	}
	defer connection.Close(ctx)
	return follow(ctx, connection, os.Args[2], os.Args[3:])
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
