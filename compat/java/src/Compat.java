import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Runs the checks of kafka-clients and of Kafka's console tools against a broker, all in one JVM: a tool started by its script
 * costs seconds, a call of its main method a fraction of one.
 *
 * <p>{@code java -cp CLASSES:JARS/* Compat --bootstrap HOST:PORT --run NAME --sample FILE [--data DIR] [--only TEXT]}
 *
 * <p>Prints {@code PASS name 0.12s}, {@code FAIL name: reason} or {@code SKIP name: why}, and last
 * {@code N passed, N failed, N skipped}.
 */
public final class Compat {
    private static final int LIMIT_S = 60;

    interface Body {
        void run(Context context) throws Exception;
    }

    record Test(String name, Body body) {}

    /** Says that a check cannot tell anything about this broker. */
    static final class Skip extends Exception {
        Skip(String why) {
            super(why);
        }
    }

    /** Where the broker is. {@code data} is its log directory, or null when that is not to be seen from here. */
    record Context(String bootstrap, String run, String sample, String data, String test) {
        /** A topic's name that no other test and no other run uses. */
        String topic(String suffix) {
            return run + "-" + test + "-" + suffix;
        }

        String topic() {
            return topic("1");
        }
    }

    public static void main(String[] args) {
        String bootstrap = "127.0.0.1:9092", run = "compat-java", sample = "sample.tsv", data = null, only = "";
        for (int i = 0; i < args.length; i += 2) {
            switch (args[i]) {
                case "--bootstrap" -> bootstrap = args[i + 1];
                case "--run" -> run = args[i + 1];
                case "--sample" -> sample = args[i + 1];
                case "--data" -> data = args[i + 1];
                case "--only" -> only = args[i + 1];
                default -> throw new IllegalArgumentException("no such option: " + args[i]);
            }
        }
        PrintStream out = System.out; // the checks of the tools borrow System.out
        int passed = 0, failed = 0, skipped = 0;
        List<Test> tests = new ArrayList<>(Clients.TESTS);
        tests.addAll(Groups.TESTS);
        tests.addAll(GroupAdmin.TESTS);
        tests.addAll(Versions.TESTS);
        tests.addAll(Tools.TESTS);
        tests.addAll(GroupTools.TESTS);
        tests.addAll(UpkeepTools.TESTS);
        for (Test test : tests) {
            if (!test.name().contains(only)) {
                continue;
            }
            long start = System.nanoTime();
            Throwable trouble = run(test, new Context(bootstrap, run, sample, data, test.name()));
            if (trouble == null) {
                passed++;
                out.printf("PASS %s %.2fs%n", test.name(), (System.nanoTime() - start) / 1e9);
            } else if (trouble instanceof Skip) {
                skipped++;
                out.printf("SKIP %s: %s%n", test.name(), trouble.getMessage());
            } else {
                failed++;
                trouble.printStackTrace();
                out.printf("FAIL %s: %s%n", test.name(), oneLine(trouble));
            }
        }
        out.printf("%d passed, %d failed, %d skipped%n", passed, failed, skipped);
        out.flush();
        Runtime.getRuntime().halt(failed == 0 ? 0 : 1); // a check that hangs must not keep the JVM
    }

    /** Runs one test on a thread of its own; gives what went wrong, or null. */
    private static Throwable run(Test test, Context context) {
        var thread = Executors.newSingleThreadExecutor(task -> {
            Thread t = new Thread(task, test.name());
            t.setDaemon(true);
            return t;
        });
        try {
            thread.submit(() -> {
                test.body().run(context);
                return null;
            }).get(LIMIT_S, TimeUnit.SECONDS);
            return null;
        } catch (ExecutionException e) {
            return e.getCause();
        } catch (TimeoutException e) {
            return new AssertionError("no end within " + LIMIT_S + " s");
        } catch (InterruptedException e) {
            return e;
        } finally {
            thread.shutdownNow();
        }
    }

    private static String oneLine(Throwable e) {
        String text = (e + (e.getCause() == null ? "" : "; " + e.getCause())).replaceAll("\\s+", " ");
        return text.length() > 800 ? text.substring(0, 800) : text;
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }

    static void equal(Object got, Object want, String what) {
        check(got == null ? want == null : got.equals(want), what + ": got " + got + ", expected " + want);
    }
}
