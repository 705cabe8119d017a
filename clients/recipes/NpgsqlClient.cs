// A live query by Npgsql, in one file: subscribe, read the first result, follow the messages.
//
//   NpgsqlClient CONNECTION QUERY [PARAMETER...]
//
// Prints the result as one line of JSON, again whenever it has changed, until the live query or the connection ends.
// No test runs this: Debian has no .NET. It is written by Npgsql's documentation, for version 8.

using System.Text.Json;
using System.Text.Json.Nodes;
using Npgsql;
using NpgsqlTypes;

const int Batch = 1000;

// The rows by the JSON text of their key; several of one key only where rows can be equal.
var rows = new Dictionary<string, List<string>>();

void Add(string key, string row)
{
    if (!rows.TryGetValue(key, out var same))
        rows[key] = same = new List<string>();
    same.Add(row);
}

void Remove(string key)
{
    rows[key].RemoveAt(0);
    if (rows[key].Count == 0)
        rows.Remove(key);
}

void Apply(JsonNode change)
{
    var op = change["op"]!.GetValue<string>();
    if (op == "clear")
    {
        rows.Clear();
        return;
    }
    var key = change["key"]!.ToJsonString();
    if (op != "insert")
        Remove(key);
    if (op != "delete")
        Add(key, change["row"]!.ToJsonString());
}

void Show() => Console.WriteLine("[" + string.Join(",", rows.Values.SelectMany(same => same)) + "]");

try
{
    await using var connection = new NpgsqlConnection(args[0]);
    // It raises this in WaitAsync, and in any command that a notification comes along with.
    var told = new Queue<string>();
    connection.Notification += (_, notification) => told.Enqueue(notification.Payload);
    await connection.OpenAsync();

    // In batches: one that is not full is the last. Changes are told only after that.
    async Task ReadSnapshot()
    {
        rows.Clear();
        for (var count = Batch; count == Batch;)
        {
            await using var command = new NpgsqlCommand("SELECT key::text, \"row\"::text FROM live.snapshot($1, $2)", connection)
            {
                Parameters = { new() { Value = "q" }, new() { Value = Batch } },
            };
            await using var reader = await command.ExecuteReaderAsync();
            for (count = 0; await reader.ReadAsync(); ++count)
                Add(JsonNode.Parse(reader.GetString(0))!.ToJsonString(), reader.GetString(1));
        }
    }

    await using (var command = new NpgsqlCommand("SELECT FROM live.subscribe($1, $2, $3)", connection)
    {
        Parameters =
        {
            new() { Value = "q" },
            new() { Value = args[1] },
            new() { Value = args[2..], NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text },
        },
    })
        await command.ExecuteNonQueryAsync();
    await ReadSnapshot();
    Show();

    while (true)
    {
        while (told.TryDequeue(out var payload))
        {
            var message = JsonNode.Parse(payload)!;
            switch (message["type"]!.GetValue<string>())
            {
                case "changes":
                    foreach (var change in message["changes"]!.AsArray())
                        Apply(change!);
                    if (!message["more"]!.GetValue<bool>()) // else the rest of this moment is still to come
                        Show();
                    break;
                case "reset": // changes were lost: begin again; nothing is told meanwhile
                    await using (var command = new NpgsqlCommand("SELECT live.refresh($1)", connection)
                    {
                        Parameters = { new() { Value = "q" } },
                    })
                        await command.ExecuteNonQueryAsync();
                    await ReadSnapshot();
                    Show();
                    break;
                case "terminated":
                    Console.Error.WriteLine($"the live query has ended: {message["reason"]}");
                    return 1;
            }
        }
        await connection.WaitAsync(); // outside of a transaction, in which nothing is told
    }
}
catch (Exception error) when (error is NpgsqlException or JsonException)
{
    Console.Error.WriteLine(error.Message);
    return 1;
}
