import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.format.Json;
import java.io.FileReader;
import java.util.Properties;

/** Runs Debezium by a file of properties, and prints each event as a line: key, tab, value. Ends by a signal. */
public class Engine {
  public static void main(String[] arguments) throws Exception {
    Properties properties = new Properties();
    try (FileReader file = new FileReader(arguments[0])) {
      properties.load(file);
    }
    DebeziumEngine<ChangeEvent<String, String>> engine = DebeziumEngine.create(Json.class)
        .using(properties)
        .notifying(event -> {
          System.out.println(event.key() + "\t" + event.value());
          System.out.flush();
        })
        .using((success, message, error) -> {
          if (success) return;
          System.err.println(message);
          if (error != null) error.printStackTrace();
          System.exit(1);
        })
        .build();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        engine.close();
      } catch (Exception error) {
        error.printStackTrace();
      }
    }));
    engine.run();
  }
}
