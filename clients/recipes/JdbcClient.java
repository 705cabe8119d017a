// A live query by pgjdbc, in one file: subscribe, read the first result, follow the messages.
//
//   java -cp postgresql.jar:gson.jar JdbcClient.java URL QUERY [PARAMETER...]
//
// Prints the result as one line of JSON, again whenever it has changed, until the live query or the connection ends.
// For the JSON it uses Gson.

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

public class JdbcClient {
  private static final int BATCH = 1000;

  private final Connection connection;
  /** The rows by the JSON text of their key; several of one key only where rows can be equal. */
  private final Map<String, List<JsonElement>> rows = new LinkedHashMap<>();

  private JdbcClient(Connection connection) {
    this.connection = connection;
  }

  private void add(JsonElement key, JsonElement row) {
    rows.computeIfAbsent(key.toString(), ignored -> new ArrayList<>()).add(row);
  }

  private void remove(JsonElement key) {
    List<JsonElement> same = rows.get(key.toString());
    same.remove(0);
    if (same.isEmpty()) rows.remove(key.toString());
  }

  private void apply(JsonObject change) {
    String op = change.get("op").getAsString();
    if (op.equals("clear")) {
      rows.clear();
      return;
    }
    if (!op.equals("insert")) remove(change.get("key"));
    if (!op.equals("delete")) add(change.get("key"), change.get("row"));
  }

  private void show() {
    JsonArray all = new JsonArray();
    rows.values().forEach(same -> same.forEach(all::add));
    System.out.println(all);
  }

  private void subscribe(String query, String[] params) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement("SELECT FROM live.subscribe('q', ?, ?)")) {
      statement.setString(1, query);
      statement.setArray(2, connection.createArrayOf("text", params));
      statement.executeQuery().close();
    }
  }

  /** In batches: one that is not full is the last. Changes are told only after that. */
  private void readSnapshot() throws SQLException {
    rows.clear();
    try (PreparedStatement statement = connection.prepareStatement("SELECT key, \"row\" FROM live.snapshot('q', ?)")) {
      statement.setInt(1, BATCH);
      int count = BATCH;
      while (count == BATCH) {
        count = 0;
        try (ResultSet batch = statement.executeQuery()) {
          for (; batch.next(); ++count)
            add(JsonParser.parseString(batch.getString(1)), JsonParser.parseString(batch.getString(2)));
        }
      }
    }
  }

  private void refresh() throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement("SELECT live.refresh('q')")) {
      statement.executeQuery().close();
    }
    readSnapshot();
    show();
  }

  /** False once the live query has ended. */
  private boolean handle(JsonObject message) throws SQLException {
    switch (message.get("type").getAsString()) {
      case "changes":
        message.getAsJsonArray("changes").forEach(change -> apply(change.getAsJsonObject()));
        if (!message.get("more").getAsBoolean()) show(); // else the rest of this moment is still to come
        break;
      case "reset": // changes were lost: begin again; nothing is told meanwhile
        refresh();
        break;
      case "terminated":
        System.err.println("the live query has ended: " + message.get("reason").getAsString());
        return false;
      default:
        break;
    }
    return true;
  }

  private void follow() throws SQLException {
    PGConnection driver = connection.unwrap(PGConnection.class);
    for (;;) {
      PGNotification[] told = driver.getNotifications(0); // waits for some, however long it takes
      if (told == null) continue;
      for (PGNotification notification : told)
        if (!handle(JsonParser.parseString(notification.getParameter()).getAsJsonObject())) return;
    }
  }

  public static void main(String[] arguments) {
    // In autocommit, as JDBC begins: inside a transaction nothing is told.
    try (Connection connection = DriverManager.getConnection(arguments[0])) {
      JdbcClient client = new JdbcClient(connection);
      client.subscribe(arguments[1], Arrays.copyOfRange(arguments, 2, arguments.length));
      client.readSnapshot();
      client.show();
      client.follow();
    } catch (SQLException error) {
      System.err.println(error.getMessage());
    }
    System.exit(1);
  }
}
