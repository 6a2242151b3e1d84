<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de" sourcelanguage="en">
<context>
    <name>wsss_geo</name>
    <message>
        <source> (on Windows often for lack of the Microsoft Visual C++ Redistributable, or by an antivirus)</source>
        <translation> (unter Windows oft, weil das Microsoft Visual C++ Redistributable fehlt, oder wegen eines Virenscanners)</translation>
    </message>
    <message>
        <source> m²</source>
        <translation> m²</translation>
    </message>
    <message>
        <source> px</source>
        <translation> px</translation>
    </message>
    <message>
        <source>%v of %m tagged</source>
        <translation>%v von %m verschlagwortet</translation>
    </message>
    <message>
        <source>&lt;small&gt;1-9 classes, 0 none of them, Enter next untagged, arrows move; here and on the map&lt;/small&gt;</source>
        <translation>&lt;small&gt;1–9 Klassen, 0 keine davon, Eingabe nächste offene, Pfeile bewegen; hier und auf der Karte&lt;/small&gt;</translation>
    </message>
    <message>
        <source>A temporary file</source>
        <translation>Eine temporäre Datei</translation>
    </message>
    <message>
        <source>Accuracy</source>
        <translation>Genauigkeit</translation>
    </message>
    <message>
        <source>Add Class</source>
        <translation>Klasse hinzufügen</translation>
    </message>
    <message>
        <source>Add Class…</source>
        <translation>Klasse hinzufügen…</translation>
    </message>
    <message>
        <source>Add a raster layer to the project and choose it.</source>
        <translation>Dem Projekt einen Rasterlayer hinzufügen und diesen wählen.</translation>
    </message>
    <message>
        <source>Add a raster layer to the project.</source>
        <translation>Dem Projekt einen Rasterlayer hinzufügen.</translation>
    </message>
    <message>
        <source>All Options…</source>
        <translation>Alle Optionen…</translation>
    </message>
    <message>
        <source>All scenes are tagged.</source>
        <translation>Alle Szenen sind verschlagwortet.</translation>
    </message>
    <message>
        <source>All was installed, but {} cannot be loaded{}; the log tells more.</source>
        <translation>Alles wurde installiert, aber {} lässt sich nicht laden{}; Näheres steht im Protokoll.</translation>
    </message>
    <message>
        <source>Any plain ViT of timm, or mevt</source>
        <translation>Ein beliebiger einfacher ViT aus timm, oder mevt</translation>
    </message>
    <message>
        <source>Area found in square metres (JSON)</source>
        <translation>Gefundene Fläche in Quadratmetern (JSON)</translation>
    </message>
    <message>
        <source>Area of each class in square metres (JSON)</source>
        <translation>Fläche jeder Klasse in Quadratmetern (JSON)</translation>
    </message>
    <message>
        <source>Areas as a page to keep</source>
        <translation>Flächen als Seite zum Aufbewahren</translation>
    </message>
    <message>
        <source>Arguments of the backbone, name=value</source>
        <translation>Argumente des Backbones, Name=Wert</translation>
    </message>
    <message>
        <source>Arithmetic</source>
        <translation>Rechengenauigkeit</translation>
    </message>
    <message>
        <source>As many as the engine takes</source>
        <translation>So viele, wie die Engine nimmt</translation>
    </message>
    <message>
        <source>As the index has it</source>
        <translation>Wie im Paketindex</translation>
    </message>
    <message>
        <source>Average over flips</source>
        <translation>Über Spiegelungen mitteln</translation>
    </message>
    <message>
        <source>Average over flips as well</source>
        <translation>Auch über Spiegelungen mitteln</translation>
    </message>
    <message>
        <source>Average over quarter turns</source>
        <translation>Über Vierteldrehungen mitteln</translation>
    </message>
    <message>
        <source>Average over quarter turns as well</source>
        <translation>Auch über Vierteldrehungen mitteln</translation>
    </message>
    <message>
        <source>Average over scales (such as 0.75,1,1.25)</source>
        <translation>Über Maßstäbe mitteln (etwa 0.75,1,1.25)</translation>
    </message>
    <message>
        <source>Average over these scales of the windows, as in 0.75,1,1.25</source>
        <translation>Über diese Maßstäbe der Fenster mitteln, etwa 0.75,1,1.25</translation>
    </message>
    <message>
        <source>Backbone</source>
        <translation>Backbone</translation>
    </message>
    <message>
        <source>Backbone arguments (name=value, …)</source>
        <translation>Backbone-Argumente (Name=Wert, …)</translation>
    </message>
    <message>
        <source>Backbone weights</source>
        <translation>Gewichte des Backbones</translation>
    </message>
    <message>
        <source>Background</source>
        <translation>Hintergrund</translation>
    </message>
    <message>
        <source>Background policy: none, explicit or surrogate:&lt;class&gt;</source>
        <translation>Umgang mit dem Hintergrund: none, explicit oder surrogate:&lt;Klasse&gt;</translation>
    </message>
    <message>
        <source>Bands</source>
        <translation>Kanäle</translation>
    </message>
    <message>
        <source>Bands to use, from 1, as in 1,2,3</source>
        <translation>Zu verwendende Kanäle, ab 1, etwa 1,2,3</translation>
    </message>
    <message>
        <source>Bands to use, from 1, as in 4,3,2</source>
        <translation>Zu verwendende Kanäle, ab 1, etwa 4,3,2</translation>
    </message>
    <message>
        <source>Bands {}: layer “{}” has bands 1 to {}; choose among them.</source>
        <translation>Kanäle {}: Layer „{}“ hat die Kanäle 1 bis {}; unter diesen wählen.</translation>
    </message>
    <message>
        <source>Bands, in the model's order (such as 4,3,2)</source>
        <translation>Kanäle in der Reihenfolge des Modells (etwa 4,3,2)</translation>
    </message>
    <message>
        <source>Batch size</source>
        <translation>Batchgröße</translation>
    </message>
    <message>
        <source>Both a layer and a file of tags are given; keep one of them.</source>
        <translation>Ein Layer und eine Datei mit Schlagwörtern sind angegeben; nur eines davon angeben.</translation>
    </message>
    <message>
        <source>Both a reference mask and reference polygons are given; keep one of them.</source>
        <translation>Eine Referenzmaske und Referenzpolygone sind angegeben; nur eines davon angeben.</translation>
    </message>
    <message>
        <source>Both an extent and polygons are given; keep one of them.</source>
        <translation>Eine Ausdehnung und Polygone sind angegeben; nur eines davon angeben.</translation>
    </message>
    <message>
        <source>Call it</source>
        <translation>Benennen als</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <source>Cancel Set-Up</source>
        <translation>Einrichtung abbrechen</translation>
    </message>
    <message>
        <source>Cancelled, because the project was closed.</source>
        <translation>Abgebrochen, weil das Projekt geschlossen wurde.</translation>
    </message>
    <message>
        <source>Cancelled.</source>
        <translation>Abgebrochen.</translation>
    </message>
    <message>
        <source>Cancelled; nothing was left behind.</source>
        <translation>Abgebrochen; nichts ist zurückgeblieben.</translation>
    </message>
    <message>
        <source>Cancelling</source>
        <translation>Wird abgebrochen</translation>
    </message>
    <message>
        <source>Choose Engine…</source>
        <translation>Engine wählen…</translation>
    </message>
    <message>
        <source>Choose a few-shot model; “Train few-shot model” makes one.</source>
        <translation>Ein Few-Shot-Modell wählen; „Few-Shot-Modell trainieren“ erzeugt eines.</translation>
    </message>
    <message>
        <source>Choose a model; “Train model from tags” makes one.</source>
        <translation>Ein Modell wählen; „Modell aus Schlagwörtern trainieren“ erzeugt eines.</translation>
    </message>
    <message>
        <source>Choose a scene by a click on the map</source>
        <translation>Eine Szene durch Klick auf die Karte wählen</translation>
    </message>
    <message>
        <source>Choose the layer of polygons to work within.</source>
        <translation>Den Layer mit den Polygonen wählen, in denen gearbeitet werden soll.</translation>
    </message>
    <message>
        <source>Class</source>
        <translation>Klasse</translation>
    </message>
    <message>
        <source>Class activation maps</source>
        <translation>Klassenaktivierungskarten</translation>
    </message>
    <message>
        <source>Class scheme (classes.json)</source>
        <translation>Klassenschema (classes.json)</translation>
    </message>
    <message>
        <source>Class schemes (*.json)</source>
        <translation>Klassenschemata (*.json)</translation>
    </message>
    <message>
        <source>Classes</source>
        <translation>Klassen</translation>
    </message>
    <message>
        <source>Classes (*.json *.safetensors)</source>
        <translation>Klassen (*.json *.safetensors)</translation>
    </message>
    <message>
        <source>Classes learned from</source>
        <translation>Gelernte Klassen</translation>
    </message>
    <message>
        <source>Classes left out</source>
        <translation>Ausgelassene Klassen</translation>
    </message>
    <message>
        <source>Classes to leave out</source>
        <translation>Auszulassende Klassen</translation>
    </message>
    <message>
        <source>Classes to leave out of training, as in water,road, or a fold, as in isaid-5i:0 or dlrsd-5i:2: no tile with a pixel of them is learned from</source>
        <translation>Klassen, die das Training auslässt, etwa water,road, oder eine Aufteilung wie isaid-5i:0 oder dlrsd-5i:2: Aus Kacheln mit einem Pixel davon wird nicht gelernt</translation>
    </message>
    <message>
        <source>Compile the network</source>
        <translation>Netz kompilieren</translation>
    </message>
    <message>
        <source>Compile the network with torch.compile</source>
        <translation>Das Netz mit torch.compile kompilieren</translation>
    </message>
    <message>
        <source>Compute on</source>
        <translation>Rechnen auf</translation>
    </message>
    <message>
        <source>Confidence</source>
        <translation>Konfidenz</translation>
    </message>
    <message>
        <source>Confidence at least</source>
        <translation>Konfidenz mindestens</translation>
    </message>
    <message>
        <source>Confidence raster</source>
        <translation>Konfidenzraster</translation>
    </message>
    <message>
        <source>Confidence raster of a segmentation; tells which scenes to tag next</source>
        <translation>Konfidenzraster einer Segmentierung; sagt, welche Szenen als nächste zu verschlagworten sind</translation>
    </message>
    <message>
        <source>Confidence threshold</source>
        <translation>Konfidenzschwelle</translation>
    </message>
    <message>
        <source>Confidence “{}” has another size than mask “{}”; choose its own.</source>
        <translation>Konfidenz „{}“ hat eine andere Größe als Maske „{}“; die zugehörige wählen.</translation>
    </message>
    <message>
        <source>Continue</source>
        <translation>Fortsetzen</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Kopieren</translation>
    </message>
    <message>
        <source>Copy as Command</source>
        <translation>Als Befehl kopieren</translation>
    </message>
    <message>
        <source>Copy the pixels of every tile</source>
        <translation>Pixel jeder Kachel kopieren</translation>
    </message>
    <message>
        <source>Copy the pixels of every tile into chips/</source>
        <translation>Die Pixel jeder Kachel nach chips/ kopieren</translation>
    </message>
    <message>
        <source>Copy what is set up as a “wsss-geo” command for a terminal</source>
        <translation>Das Eingestellte als „wsss-geo“-Befehl für ein Terminal kopieren</translation>
    </message>
    <message>
        <source>Cuts raster layers into scenes and joins them with their tags, ready for training.</source>
        <translation>Schneidet Rasterlayer in Szenen und verbindet sie mit ihren Schlagwörtern, fertig zum Training.</translation>
    </message>
    <message>
        <source>Decoding threads</source>
        <translation>Threads zum Dekodieren</translation>
    </message>
    <message>
        <source>Device</source>
        <translation>Gerät</translation>
    </message>
    <message>
        <source>Devices</source>
        <translation>Geräte</translation>
    </message>
    <message>
        <source>Devices (JSON)</source>
        <translation>Geräte (JSON)</translation>
    </message>
    <message>
        <source>Diagnostics of wsss-geo</source>
        <translation>Diagnose von wsss-geo</translation>
    </message>
    <message>
        <source>Diagnostics…</source>
        <translation>Diagnose…</translation>
    </message>
    <message>
        <source>Done.</source>
        <translation>Fertig.</translation>
    </message>
    <message>
        <source>Download published backbone weights</source>
        <translation>Veröffentlichte Gewichte des Backbones herunterladen</translation>
    </message>
    <message>
        <source>Draw</source>
        <translation>Zeichnen</translation>
    </message>
    <message>
        <source>Draw polygons around a few examples, or choose a layer of polygons.</source>
        <translation>Polygone um einige Beispiele zeichnen oder einen Polygonlayer wählen.</translation>
    </message>
    <message>
        <source>Draw polygons around a few examples; what lies around them counts as something else. A few-shot model finds the rest, without training. Five examples do better than one. The raster to search is read window by window, so its size does not matter.

The model is a few-shot model, which “Train few-shot model” makes from tiles with masks; models of “Train model from tags” are of another kind.</source>
        <translation>Um einige Beispiele werden Polygone gezeichnet; was um sie herum liegt, zählt als etwas anderes. Ein Few-Shot-Modell findet den Rest, ohne Training. Fünf Beispiele sind besser als eines. Das zu durchsuchende Raster wird Fenster für Fenster gelesen, seine Größe spielt also keine Rolle.

Das Modell ist ein Few-Shot-Modell, das „Few-Shot-Modell trainieren“ aus Kacheln mit Masken erzeugt; Modelle von „Modell aus Schlagwörtern trainieren“ sind von anderer Art.</translation>
    </message>
    <message>
        <source>Draw polygons on the map: click the corners, end with a right click; Backspace takes a corner back</source>
        <translation>Polygone auf der Karte zeichnen: die Ecken anklicken, mit einem Rechtsklick beenden; die Rücktaste nimmt eine Ecke zurück</translation>
    </message>
    <message>
        <source>Drawn in</source>
        <translation>Gezeichnet in</translation>
    </message>
    <message>
        <source>Each scene is a square of the raster's pixels, the same that “Make tile set” cuts with this size. Write into the field “tags” which classes occur in a scene, as in water;field. NULL means that nobody looked at the scene yet, an empty text that it has none of the classes. The dock Tag Scenes does it with a key a class.</source>
        <translation>Jede Szene ist ein Quadrat aus Pixeln des Rasters, dasselbe, das „Kachelsatz erstellen“ mit dieser Größe schneidet. In das Feld „tags“ wird geschrieben, welche Klassen in einer Szene vorkommen, etwa wasser;feld. NULL heißt, dass noch niemand die Szene angesehen hat, ein leerer Text, dass sie keine der Klassen enthält. Im Bedienfeld „Szenen verschlagworten“ genügt dafür eine Taste je Klasse.</translation>
    </message>
    <message>
        <source>Engine</source>
        <translation>Engine</translation>
    </message>
    <message>
        <source>Episodes</source>
        <translation>Episoden</translation>
    </message>
    <message>
        <source>Episodes a step</source>
        <translation>Episoden je Schritt</translation>
    </message>
    <message>
        <source>Evaluate</source>
        <translation>Bewerten</translation>
    </message>
    <message>
        <source>Evaluation</source>
        <translation>Bewertung</translation>
    </message>
    <message>
        <source>Examples</source>
        <translation>Beispiele</translation>
    </message>
    <message>
        <source>Examples of an episode, at most</source>
        <translation>Beispiele je Episode, höchstens</translation>
    </message>
    <message>
        <source>Extent</source>
        <translation>Ausdehnung</translation>
    </message>
    <message>
        <source>Extent to search</source>
        <translation>Zu durchsuchende Ausdehnung</translation>
    </message>
    <message>
        <source>Extent to segment</source>
        <translation>Zu segmentierende Ausdehnung</translation>
    </message>
    <message>
        <source>Fetching {:,} x {:,} pixels of “{}”</source>
        <translation>{:,} x {:,} Pixel von „{}“ werden abgerufen</translation>
    </message>
    <message>
        <source>Field with the class</source>
        <translation>Feld mit der Klasse</translation>
    </message>
    <message>
        <source>File</source>
        <translation>Datei</translation>
    </message>
    <message>
        <source>File of tags</source>
        <translation>Datei mit Schlagwörtern</translation>
    </message>
    <message>
        <source>File size</source>
        <translation>Dateigröße</translation>
    </message>
    <message>
        <source>Find</source>
        <translation>Suchen</translation>
    </message>
    <message>
        <source>Find Similar</source>
        <translation>Ähnliches finden</translation>
    </message>
    <message>
        <source>Find Similar With It</source>
        <translation>Damit Ähnliches finden</translation>
    </message>
    <message>
        <source>Find all that is like a few polygons drawn on the map</source>
        <translation>Alles finden, was einigen auf der Karte gezeichneten Polygonen ähnelt</translation>
    </message>
    <message>
        <source>Find similar</source>
        <translation>Ähnliches finden</translation>
    </message>
    <message>
        <source>Finds everything in a raster layer that is like a few polygons drawn in it or in another.</source>
        <translation>Findet in einem Rasterlayer alles, was einigen Polygonen ähnelt, die darin oder in einem anderen gezeichnet wurden.</translation>
    </message>
    <message>
        <source>Folder</source>
        <translation>Ordner</translation>
    </message>
    <message>
        <source>Folder for figures</source>
        <translation>Ordner für Abbildungen</translation>
    </message>
    <message>
        <source>Folder of wheels, without network</source>
        <translation>Ordner mit Wheels, ohne Netzwerk</translation>
    </message>
    <message>
        <source>Folder {} does not exist; create it or choose another.</source>
        <translation>Ordner {} existiert nicht; ihn anlegen oder einen anderen wählen.</translation>
    </message>
    <message>
        <source>Folder {} has no wheel of {} for Python {}; add it and what it depends on, and set up again.</source>
        <translation>In Ordner {} fehlt ein Wheel von {} für Python {}; es samt seinen Abhängigkeiten dazulegen und erneut einrichten.</translation>
    </message>
    <message>
        <source>Folder {} holds no wheels (*.whl); choose another.</source>
        <translation>Ordner {} enthält keine Wheels (*.whl); einen anderen wählen.</translation>
    </message>
    <message>
        <source>Frozen backbone: a CNN or plain ViT of timm, or mevt</source>
        <translation>Backbone, das nicht lernt: ein CNN oder einfacher ViT von timm oder mevt</translation>
    </message>
    <message>
        <source>GeoPackage (*.gpkg)</source>
        <translation>GeoPackage (*.gpkg)</translation>
    </message>
    <message>
        <source>Give model and tile set, or mask and reference, or model, raster layer and reference; nothing else.</source>
        <translation>Modell und Kachelsatz angeben, oder Maske und Referenz, oder Modell, Rasterlayer und Referenz; nichts sonst.</translation>
    </message>
    <message>
        <source>Give one of: model and tile set; mask and reference; model, raster layer and reference. The report shows intersection over union and F1 of every class, and which class was taken for which.</source>
        <translation>Anzugeben ist eines davon: Modell und Kachelsatz; Maske und Referenz; Modell, Rasterlayer und Referenz. Der Bericht zeigt für jede Klasse Intersection over Union und F1 und welche Klasse mit welcher verwechselt wurde.</translation>
    </message>
    <message>
        <source>Give pixels below the threshold a class of their own, not nodata</source>
        <translation>Pixeln unter der Schwelle eine eigene Klasse geben statt des Leerwerts</translation>
    </message>
    <message>
        <source>Give the bands of each raster the mean and deviation of the training scenes</source>
        <translation>Den Kanälen jedes Rasters Mittelwert und Streuung der Trainingsszenen geben</translation>
    </message>
    <message>
        <source>Give what is sought a name.</source>
        <translation>Dem Gesuchten einen Namen geben.</translation>
    </message>
    <message>
        <source>Ground sample distance</source>
        <translation>Bodenauflösung</translation>
    </message>
    <message>
        <source>Ground sample distance (metres)</source>
        <translation>Bodenauflösung (Meter)</translation>
    </message>
    <message>
        <source>HTML files (*.html)</source>
        <translation>HTML-Dateien (*.html)</translation>
    </message>
    <message>
        <source>Hectares</source>
        <translation>Hektar</translation>
    </message>
    <message>
        <source>Install PyTorch</source>
        <translation>PyTorch installieren</translation>
    </message>
    <message>
        <source>Install the packages</source>
        <translation>Pakete installieren</translation>
    </message>
    <message>
        <source>Intersection over union</source>
        <translation>Intersection over Union</translation>
    </message>
    <message>
        <source>Intersection over union of each class (JSON)</source>
        <translation>Intersection over Union jeder Klasse (JSON)</translation>
    </message>
    <message>
        <source>It has all that the engine needs.</source>
        <translation>Es hat alles, was die Engine braucht.</translation>
    </message>
    <message>
        <source>It was set up on {} with Python {}; it is replaced once the new one is whole.</source>
        <translation>Sie wurde am {} mit Python {} eingerichtet; sie wird ersetzt, sobald die neue vollständig ist.</translation>
    </message>
    <message>
        <source>It {}.</source>
        <translation>Es {}.</translation>
    </message>
    <message>
        <source>Key {}</source>
        <translation>Taste {}</translation>
    </message>
    <message>
        <source>Kind</source>
        <translation>Art</translation>
    </message>
    <message>
        <source>Largest learning rate</source>
        <translation>Größte Lernrate</translation>
    </message>
    <message>
        <source>Layer of tags</source>
        <translation>Layer mit Schlagwörtern</translation>
    </message>
    <message>
        <source>Layer “{}” cannot be drawn.</source>
        <translation>Layer „{}“ lässt sich nicht zeichnen.</translation>
    </message>
    <message>
        <source>Layer “{}” has no CRS, but “{}” has one; set it in the layer's properties.</source>
        <translation>Layer „{}“ hat kein KBS, aber „{}“ hat eines; es in den Eigenschaften des Layers setzen.</translation>
    </message>
    <message>
        <source>Layer “{}” has no georeference and “?” in its file's name; rename the file.</source>
        <translation>Layer „{}“ hat keine Georeferenz und ein „?“ im Dateinamen; die Datei umbenennen.</translation>
    </message>
    <message>
        <source>Layer “{}” is drawn by a server; choose the extent to fetch from it.</source>
        <translation>Layer „{}“ wird von einem Server gezeichnet; die Ausdehnung wählen, die davon abgerufen werden soll.</translation>
    </message>
    <message>
        <source>Layer “{}” is drawn by a server; save it as a file to use it in a command.</source>
        <translation>Layer „{}“ wird von einem Server gezeichnet; ihn als Datei speichern, um ihn in einem Befehl zu verwenden.</translation>
    </message>
    <message>
        <source>Layer “{}” is placed by ground control points alone; warp it first (Raster &gt; Projections &gt; Warp) and use the result.</source>
        <translation>Layer „{}“ liegt nur durch Passpunkte an seinem Ort; ihn zuerst transformieren (Raster &gt; Projektionen &gt; Transformieren) und das Ergebnis verwenden.</translation>
    </message>
    <message>
        <source>Layer “{}” is served by “{}” and is no file; save it first with Layer &gt; Save As… and use the copy.</source>
        <translation>Layer „{}“ kommt von „{}“ und ist keine Datei; ihn zuerst mit Layer &gt; Speichern als… speichern und die Kopie verwenden.</translation>
    </message>
    <message>
        <source>Lays a grid of scenes over a raster layer, ready to be tagged.</source>
        <translation>Legt ein Gitter aus Szenen über einen Rasterlayer, bereit zum Verschlagworten.</translation>
    </message>
    <message>
        <source>Learning rate</source>
        <translation>Lernrate</translation>
    </message>
    <message>
        <source>Learning rate of the backbone</source>
        <translation>Lernrate des Backbones</translation>
    </message>
    <message>
        <source>Least Certain</source>
        <translation>Unsicherste</translation>
    </message>
    <message>
        <source>Least activation of a class, with --from-cam</source>
        <translation>Mindestaktivierung einer Klasse, mit --from-cam</translation>
    </message>
    <message>
        <source>Least share of a tile that makes a tag</source>
        <translation>Mindestanteil an einer Kachel, der ein Schlagwort ergibt</translation>
    </message>
    <message>
        <source>Let only the tags of a tile compete</source>
        <translation>Nur die Schlagwörter einer Kachel zulassen</translation>
    </message>
    <message>
        <source>Let only the tags of a tile compete (shows pseudo-label quality)</source>
        <translation>Nur die Schlagwörter einer Kachel zulassen (zeigt die Güte der Pseudo-Label)</translation>
    </message>
    <message>
        <source>Licence</source>
        <translation>Lizenz</translation>
    </message>
    <message>
        <source>Loading processes</source>
        <translation>Ladeprozesse</translation>
    </message>
    <message>
        <source>Loads every package of the engine and runs one small job, as the other algorithms would.</source>
        <translation>Lädt jedes Paket der Engine und führt eine kleine Aufgabe aus, wie es die anderen Algorithmen tun.</translation>
    </message>
    <message>
        <source>Load…</source>
        <translation>Laden…</translation>
    </message>
    <message>
        <source>Loss at the end</source>
        <translation>Verlust am Ende</translation>
    </message>
    <message>
        <source>Losses at the end (JSON)</source>
        <translation>Verluste am Ende (JSON)</translation>
    </message>
    <message>
        <source>Make Tile Set…</source>
        <translation>Kachelsatz erstellen…</translation>
    </message>
    <message>
        <source>Make scene grid</source>
        <translation>Szenengitter erstellen</translation>
    </message>
    <message>
        <source>Make the environment</source>
        <translation>Umgebung anlegen</translation>
    </message>
    <message>
        <source>Make tile set</source>
        <translation>Kachelsatz erstellen</translation>
    </message>
    <message>
        <source>Map canvas</source>
        <translation>Kartenfenster</translation>
    </message>
    <message>
        <source>Mask</source>
        <translation>Maske</translation>
    </message>
    <message>
        <source>Mask by confidence</source>
        <translation>Maske nach Konfidenz</translation>
    </message>
    <message>
        <source>Mask to score</source>
        <translation>Zu bewertende Maske</translation>
    </message>
    <message>
        <source>Match the colours of the training scenes</source>
        <translation>An die Farben der Trainingsszenen anpassen</translation>
    </message>
    <message>
        <source>Mean intersection over union</source>
        <translation>Mittlere Intersection over Union</translation>
    </message>
    <message>
        <source>Mean of the next two, which chose the checkpoint</source>
        <translation>Mittel der nächsten beiden, nach dem der Zwischenstand gewählt wurde</translation>
    </message>
    <message>
        <source>Method</source>
        <translation>Methode</translation>
    </message>
    <message>
        <source>Method settings (name=value, …)</source>
        <translation>Einstellungen der Methode (Name=Wert, …)</translation>
    </message>
    <message>
        <source>Minimum polygon area (square metres)</source>
        <translation>Mindestfläche der Polygone (Quadratmeter)</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <source>Model file (.safetensors)</source>
        <translation>Modelldatei (.safetensors)</translation>
    </message>
    <message>
        <source>Model of `wsss-geo fewshot-train` (.safetensors)</source>
        <translation>Modell von `wsss-geo fewshot-train` (.safetensors)</translation>
    </message>
    <message>
        <source>Model to train on</source>
        <translation>Modell, das weitertrainiert wird</translation>
    </message>
    <message>
        <source>Models</source>
        <translation>Modelle</translation>
    </message>
    <message>
        <source>Models (*.safetensors)</source>
        <translation>Modelle (*.safetensors)</translation>
    </message>
    <message>
        <source>Models…</source>
        <translation>Modelle…</translation>
    </message>
    <message>
        <source>Mosaic</source>
        <translation>Mosaik</translation>
    </message>
    <message>
        <source>Most examples of an episode; half of the steps have one</source>
        <translation>Höchstzahl der Beispiele einer Episode; die Hälfte der Schritte hat eines</translation>
    </message>
    <message>
        <source>Most memory (such as 1.5GiB)</source>
        <translation>Höchstens so viel Speicher (etwa 1.5GiB)</translation>
    </message>
    <message>
        <source>Most memory of a process, such as 1.5GiB: batches and reads become smaller</source>
        <translation>Höchster Speicherbedarf eines Prozesses, etwa 1.5GiB: Batches und Leseschritte werden kleiner</translation>
    </message>
    <message>
        <source>Most views of examples</source>
        <translation>Höchstzahl an Ansichten der Beispiele</translation>
    </message>
    <message>
        <source>Most views of examples to use</source>
        <translation>Höchstens so viele Ansichten der Beispiele verwenden</translation>
    </message>
    <message>
        <source>Move borders to where the image's are</source>
        <translation>Grenzen dorthin schieben, wo die des Bildes sind</translation>
    </message>
    <message>
        <source>Name of the class</source>
        <translation>Name der Klasse</translation>
    </message>
    <message>
        <source>Name the classes first, or load them.</source>
        <translation>Zuerst die Klassen benennen oder laden.</translation>
    </message>
    <message>
        <source>Needs about {:.1f} GB.</source>
        <translation>Braucht etwa {:.1f} GB.</translation>
    </message>
    <message>
        <source>Neighbouring polygons share their borders exactly, before and after simplification. Patches below the minimum area join their surroundings. With a confidence raster on the same grid every polygon gets its mean.</source>
        <translation>Benachbarte Polygone haben genau gemeinsame Grenzen, vor und nach der Vereinfachung. Flecken unter der Mindestfläche gehen in ihrer Umgebung auf. Mit einem Konfidenzraster auf demselben Gitter erhält jedes Polygon dessen Mittel.</translation>
    </message>
    <message>
        <source>New scenes</source>
        <translation>Neue Szenen</translation>
    </message>
    <message>
        <source>Next</source>
        <translation>Nächste</translation>
    </message>
    <message>
        <source>Next Untagged</source>
        <translation>Nächste offene</translation>
    </message>
    <message>
        <source>No Python of version 3.11 or later was found; install one (python.org, conda) and choose it.</source>
        <translation>Kein Python der Version 3.11 oder neuer gefunden; eines installieren (python.org, conda) und wählen.</translation>
    </message>
    <message>
        <source>No model chosen yet.</source>
        <translation>Noch kein Modell gewählt.</translation>
    </message>
    <message>
        <source>No polygon of “{}” lies in layer “{}”; draw examples there, or choose the raster they were drawn in.</source>
        <translation>Kein Polygon von „{}“ liegt in Layer „{}“; dort Beispiele zeichnen oder das Raster wählen, in dem sie gezeichnet wurden.</translation>
    </message>
    <message>
        <source>None of These</source>
        <translation>Keine davon</translation>
    </message>
    <message>
        <source>None of the classes</source>
        <translation>Keine der Klassen</translation>
    </message>
    <message>
        <source>Nothing is selected in “{}”.</source>
        <translation>In „{}“ ist nichts gewählt.</translation>
    </message>
    <message>
        <source>Number of polygons</source>
        <translation>Anzahl der Polygone</translation>
    </message>
    <message>
        <source>Number of scenes</source>
        <translation>Anzahl der Szenen</translation>
    </message>
    <message>
        <source>Number of tagged tiles</source>
        <translation>Anzahl verschlagworteter Kacheln</translation>
    </message>
    <message>
        <source>Number of tiles</source>
        <translation>Anzahl der Kacheln</translation>
    </message>
    <message>
        <source>Nvidia graphics card</source>
        <translation>Nvidia-Grafikkarte</translation>
    </message>
    <message>
        <source>Only this rectangle is searched; the whole layer unless given.</source>
        <translation>Nur dieses Rechteck wird durchsucht; ohne Angabe der ganze Layer.</translation>
    </message>
    <message>
        <source>Only this rectangle is segmented; the whole layer unless given.</source>
        <translation>Nur dieses Rechteck wird segmentiert; ohne Angabe der ganze Layer.</translation>
    </message>
    <message>
        <source>Only what lies within these polygons is searched.</source>
        <translation>Nur was in diesen Polygonen liegt, wird durchsucht.</translation>
    </message>
    <message>
        <source>Only what lies within these polygons is segmented.</source>
        <translation>Nur was in diesen Polygonen liegt, wird segmentiert.</translation>
    </message>
    <message>
        <source>Open File…</source>
        <translation>Datei öffnen…</translation>
    </message>
    <message>
        <source>Open Report</source>
        <translation>Bericht öffnen</translation>
    </message>
    <message>
        <source>Open the dialog of the algorithm</source>
        <translation>Den Dialog des Algorithmus öffnen</translation>
    </message>
    <message>
        <source>Origin</source>
        <translation>Herkunft</translation>
    </message>
    <message>
        <source>Other Scenes…</source>
        <translation>Andere Szenen…</translation>
    </message>
    <message>
        <source>Overlap of windows</source>
        <translation>Überlappung der Fenster</translation>
    </message>
    <message>
        <source>Package</source>
        <translation>Paket</translation>
    </message>
    <message>
        <source>Package index, by the network</source>
        <translation>Paketindex, über das Netzwerk</translation>
    </message>
    <message>
        <source>Pick on Map</source>
        <translation>Auf Karte wählen</translation>
    </message>
    <message>
        <source>Pixel accuracy</source>
        <translation>Pixelgenauigkeit</translation>
    </message>
    <message>
        <source>Pixels</source>
        <translation>Pixel</translation>
    </message>
    <message>
        <source>Pixels along a cell of activation maps</source>
        <translation>Pixel entlang einer Zelle der Aktivierungskarten</translation>
    </message>
    <message>
        <source>Pixels along a cell of activation maps that borders are drawn with</source>
        <translation>Pixel entlang einer Zelle der Aktivierungskarten, mit denen Grenzen gezeichnet werden</translation>
    </message>
    <message>
        <source>Pixels of lower confidence become nodata</source>
        <translation>Pixel geringerer Konfidenz werden zum Leerwert</translation>
    </message>
    <message>
        <source>Polygons</source>
        <translation>Polygone</translation>
    </message>
    <message>
        <source>Polygons around a few of what is sought.</source>
        <translation>Polygone um einige Vorkommen des Gesuchten.</translation>
    </message>
    <message>
        <source>Polygons made by the job</source>
        <translation>Von der Aufgabe erzeugte Polygone</translation>
    </message>
    <message>
        <source>Polygons of a layer</source>
        <translation>Polygone eines Layers</translation>
    </message>
    <message>
        <source>Polygons of at least</source>
        <translation>Polygone ab</translation>
    </message>
    <message>
        <source>Polygons of the small job</source>
        <translation>Polygone der kleinen Aufgabe</translation>
    </message>
    <message>
        <source>Polygons to search within</source>
        <translation>Polygone, in denen gesucht wird</translation>
    </message>
    <message>
        <source>Polygons to segment within</source>
        <translation>Polygone, in denen segmentiert wird</translation>
    </message>
    <message>
        <source>Precision</source>
        <translation>Genauigkeit der Rechnung</translation>
    </message>
    <message>
        <source>Preview</source>
        <translation>Vorschau</translation>
    </message>
    <message>
        <source>Previewed what the map showed.</source>
        <translation>Vorschau dessen, was die Karte zeigte.</translation>
    </message>
    <message>
        <source>Previous</source>
        <translation>Vorige</translation>
    </message>
    <message>
        <source>Processes that load tiles</source>
        <translation>Prozesse, die Kacheln laden</translation>
    </message>
    <message>
        <source>Processor</source>
        <translation>Prozessor</translation>
    </message>
    <message>
        <source>PyTorch for</source>
        <translation>PyTorch für</translation>
    </message>
    <message>
        <source>Python</source>
        <translation>Python</translation>
    </message>
    <message>
        <source>Python of the Engine</source>
        <translation>Python der Engine</translation>
    </message>
    <message>
        <source>Python {}</source>
        <translation>Python {}</translation>
    </message>
    <message>
        <source>QGIS cannot hold these scenes; choose larger ones.</source>
        <translation>QGIS kann so viele Szenen nicht halten; größere wählen.</translation>
    </message>
    <message>
        <source>Raster</source>
        <translation>Raster</translation>
    </message>
    <message>
        <source>Raster layer</source>
        <translation>Rasterlayer</translation>
    </message>
    <message>
        <source>Raster layer of the examples</source>
        <translation>Rasterlayer der Beispiele</translation>
    </message>
    <message>
        <source>Raster layer to search</source>
        <translation>Zu durchsuchender Rasterlayer</translation>
    </message>
    <message>
        <source>Raster layer to segment and score</source>
        <translation>Zu segmentierender und zu bewertender Rasterlayer</translation>
    </message>
    <message>
        <source>Raster layers</source>
        <translation>Rasterlayer</translation>
    </message>
    <message>
        <source>Raster to search</source>
        <translation>Zu durchsuchendes Raster</translation>
    </message>
    <message>
        <source>Recipe (YAML)</source>
        <translation>Rezept (YAML)</translation>
    </message>
    <message>
        <source>Recipes (*.yaml *.yml)</source>
        <translation>Rezepte (*.yaml *.yml)</translation>
    </message>
    <message>
        <source>Redo</source>
        <translation>Wiederherstellen</translation>
    </message>
    <message>
        <source>Reference \ prediction</source>
        <translation>Referenz \ Vorhersage</translation>
    </message>
    <message>
        <source>Reference mask</source>
        <translation>Referenzmaske</translation>
    </message>
    <message>
        <source>Reference polygons</source>
        <translation>Referenzpolygone</translation>
    </message>
    <message>
        <source>Refine borders by the image</source>
        <translation>Grenzen am Bild verfeinern</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>Entfernen</translation>
    </message>
    <message>
        <source>Report</source>
        <translation>Bericht</translation>
    </message>
    <message>
        <source>Resample to the model's ground sample distance</source>
        <translation>Auf die Bodenauflösung des Modells umrechnen</translation>
    </message>
    <message>
        <source>Resample to this ground sample distance in metres</source>
        <translation>Auf diese Bodenauflösung in Metern umrechnen</translation>
    </message>
    <message>
        <source>Result</source>
        <translation>Ergebnis</translation>
    </message>
    <message>
        <source>Run folder</source>
        <translation>Trainingsordner</translation>
    </message>
    <message>
        <source>Save As…</source>
        <translation>Speichern als…</translation>
    </message>
    <message>
        <source>Save Scenes</source>
        <translation>Szenen speichern</translation>
    </message>
    <message>
        <source>Save in</source>
        <translation>Speichern in</translation>
    </message>
    <message>
        <source>Save to</source>
        <translation>Speichern unter</translation>
    </message>
    <message>
        <source>Saved to {}.</source>
        <translation>Gespeichert in {}.</translation>
    </message>
    <message>
        <source>Scene &lt;b&gt;{:,}&lt;/b&gt; of {:,}: {}</source>
        <translation>Szene &lt;b&gt;{:,}&lt;/b&gt; von {:,}: {}</translation>
    </message>
    <message>
        <source>Scene block (pixels)</source>
        <translation>Szenenblock (Pixel)</translation>
    </message>
    <message>
        <source>Scene size</source>
        <translation>Szenengröße</translation>
    </message>
    <message>
        <source>Scene size (pixels)</source>
        <translation>Szenengröße (Pixel)</translation>
    </message>
    <message>
        <source>Scenes</source>
        <translation>Szenen</translation>
    </message>
    <message>
        <source>Score</source>
        <translation>Kennwert</translation>
    </message>
    <message>
        <source>Score of the training</source>
        <translation>Kennwert des Trainings</translation>
    </message>
    <message>
        <source>Scores a model on tiles with masks, or a mask against a reference mask or polygons.</source>
        <translation>Bewertet ein Modell an Kacheln mit Masken oder eine Maske an einer Referenzmaske oder an Polygonen.</translation>
    </message>
    <message>
        <source>Scores of the chosen checkpoint (JSON)</source>
        <translation>Kennwerte des gewählten Zwischenstands (JSON)</translation>
    </message>
    <message>
        <source>Scores that decide</source>
        <translation>Entscheidende Werte</translation>
    </message>
    <message>
        <source>Search the extent and write the results</source>
        <translation>Die Ausdehnung durchsuchen und die Ergebnisse schreiben</translation>
    </message>
    <message>
        <source>Seconds</source>
        <translation>Sekunden</translation>
    </message>
    <message>
        <source>Seed</source>
        <translation>Startwert</translation>
    </message>
    <message>
        <source>Seed of everything random</source>
        <translation>Startwert für alles Zufällige</translation>
    </message>
    <message>
        <source>Seed of the split</source>
        <translation>Startwert der Aufteilung</translation>
    </message>
    <message>
        <source>Segment</source>
        <translation>Segmentieren</translation>
    </message>
    <message>
        <source>Segment Layer</source>
        <translation>Layer segmentieren</translation>
    </message>
    <message>
        <source>Segment Layer With All Options…</source>
        <translation>Layer mit allen Optionen segmentieren…</translation>
    </message>
    <message>
        <source>Segment With It</source>
        <translation>Damit segmentieren</translation>
    </message>
    <message>
        <source>Segment layer</source>
        <translation>Layer segmentieren</translation>
    </message>
    <message>
        <source>Segment the active raster layer with a model</source>
        <translation>Den aktiven Rasterlayer mit einem Modell segmentieren</translation>
    </message>
    <message>
        <source>Segment the extent and write the results</source>
        <translation>Die Ausdehnung segmentieren und die Ergebnisse schreiben</translation>
    </message>
    <message>
        <source>Segment what the map shows</source>
        <translation>Segmentieren, was die Karte zeigt</translation>
    </message>
    <message>
        <source>Selected features only</source>
        <translation>Nur gewählte Objekte</translation>
    </message>
    <message>
        <source>Send this text to whoever helps you. Your own folder is written as ~.</source>
        <translation>Diesen Text an diejenigen schicken, die helfen. Der eigene Ordner steht darin als ~.</translation>
    </message>
    <message>
        <source>Set Up</source>
        <translation>Einrichten</translation>
    </message>
    <message>
        <source>Set Up Engine</source>
        <translation>Engine einrichten</translation>
    </message>
    <message>
        <source>Set Up Engine…</source>
        <translation>Engine einrichten…</translation>
    </message>
    <message>
        <source>Set up the engine of wsss-geo</source>
        <translation>Engine von wsss-geo einrichten</translation>
    </message>
    <message>
        <source>Settings of the method, name=value</source>
        <translation>Einstellungen der Methode, Name=Wert</translation>
    </message>
    <message>
        <source>Share</source>
        <translation>Anteil</translation>
    </message>
    <message>
        <source>Share of scenes for testing</source>
        <translation>Anteil der Szenen zum Testen</translation>
    </message>
    <message>
        <source>Share of scenes for validation</source>
        <translation>Anteil der Szenen zur Validierung</translation>
    </message>
    <message>
        <source>Share of their pixels whose class is among the tags</source>
        <translation>Anteil ihrer Pixel, deren Klasse unter den Schlagwörtern ist</translation>
    </message>
    <message>
        <source>Share of valid pixels</source>
        <translation>Anteil gültiger Pixel</translation>
    </message>
    <message>
        <source>Share of what was searched</source>
        <translation>Anteil am Durchsuchten</translation>
    </message>
    <message>
        <source>Side in pixels of the blocks that count as scenes; 0: a raster is one scene</source>
        <translation>Seitenlänge in Pixeln der Blöcke, die als Szenen zählen; 0: ein Raster ist eine Szene</translation>
    </message>
    <message>
        <source>Side of a scene; use the same as tile size when you make the tile set.</source>
        <translation>Seitenlänge einer Szene; für den Kachelsatz dieselbe Kachelgröße verwenden.</translation>
    </message>
    <message>
        <source>Side of a tile in pixels</source>
        <translation>Seitenlänge einer Kachel in Pixeln</translation>
    </message>
    <message>
        <source>Side of the training view in pixels; that of the tile or mosaic unless given</source>
        <translation>Seitenlänge der Trainingsansicht in Pixeln; ohne Angabe die der Kachel oder des Mosaiks</translation>
    </message>
    <message>
        <source>Simplification tolerance (pixels)</source>
        <translation>Vereinfachungstoleranz (Pixel)</translation>
    </message>
    <message>
        <source>Simplification tolerance in pixels</source>
        <translation>Vereinfachungstoleranz in Pixeln</translation>
    </message>
    <message>
        <source>Simplification tolerance of the polygons in pixels</source>
        <translation>Vereinfachungstoleranz der Polygone in Pixeln</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>Größe</translation>
    </message>
    <message>
        <source>Smallest polygon in square metres (pixels without CRS)</source>
        <translation>Kleinstes Polygon in Quadratmetern (ohne KBS in Pixeln)</translation>
    </message>
    <message>
        <source>Split</source>
        <translation>Teilmenge</translation>
    </message>
    <message>
        <source>Split of the tile set</source>
        <translation>Teilmenge des Kachelsatzes</translation>
    </message>
    <message>
        <source>Start Tagging</source>
        <translation>Verschlagworten beginnen</translation>
    </message>
    <message>
        <source>Start from the backbone weights in this file</source>
        <translation>Mit den Backbone-Gewichten in dieser Datei beginnen</translation>
    </message>
    <message>
        <source>Start from the weights that timm publishes for the backbone</source>
        <translation>Mit den Gewichten beginnen, die timm für das Backbone veröffentlicht</translation>
    </message>
    <message>
        <source>Starting the engine</source>
        <translation>Die Engine startet</translation>
    </message>
    <message>
        <source>Step between tiles in pixels; the size unless given</source>
        <translation>Schrittweite zwischen Kacheln in Pixeln; ohne Angabe die Kachelgröße</translation>
    </message>
    <message>
        <source>Step {} of {}: {}</source>
        <translation>Schritt {} von {}: {}</translation>
    </message>
    <message>
        <source>Steps</source>
        <translation>Schritte</translation>
    </message>
    <message>
        <source>Steps between checkpoints</source>
        <translation>Schritte zwischen Zwischenständen</translation>
    </message>
    <message>
        <source>Steps between validation, previews and checkpoints</source>
        <translation>Schritte zwischen Validierung, Vorschauen und Zwischenständen</translation>
    </message>
    <message>
        <source>Tag Scenes</source>
        <translation>Szenen verschlagworten</translation>
    </message>
    <message>
        <source>Tag scenes of a raster layer with the classes that occur in them</source>
        <translation>Szenen eines Rasterlayers mit den darin vorkommenden Klassen verschlagworten</translation>
    </message>
    <message>
        <source>Tagged</source>
        <translation>Verschlagwortet</translation>
    </message>
    <message>
        <source>Tagged before</source>
        <translation>Bereits verschlagwortet</translation>
    </message>
    <message>
        <source>Tagged scenes</source>
        <translation>Verschlagwortete Szenen</translation>
    </message>
    <message>
        <source>Tags found again by the classifier alone (F1)</source>
        <translation>Vom Klassifikator allein wiedergefundene Schlagwörter (F1)</translation>
    </message>
    <message>
        <source>Tags found again in scenes held out (F1)</source>
        <translation>In zurückgehaltenen Szenen wiedergefundene Schlagwörter (F1)</translation>
    </message>
    <message>
        <source>Tags say which classes occur in a scene, not where. They come from a polygon or point layer (a scene takes the classes of what it contains) or from a file: CSV with tile or coordinates and tags, a mask raster, or a folder of class folders. No pixel is copied unless you ask for it.

Scenes for validation and testing are kept apart from those for training.</source>
        <translation>Schlagwörter sagen, welche Klassen in einer Szene vorkommen, nicht wo. Sie kommen aus einem Polygon- oder Punktlayer (eine Szene erhält die Klassen dessen, was sie enthält) oder aus einer Datei: CSV mit Kachel oder Koordinaten und Schlagwörtern, ein Maskenraster oder ein Ordner mit Klassenordnern. Pixel werden nur auf Wunsch kopiert.

Szenen zur Validierung und zum Testen werden von denen zum Training getrennt.</translation>
    </message>
    <message>
        <source>Take Back</source>
        <translation>Zurücknehmen</translation>
    </message>
    <message>
        <source>Take away the polygon drawn last</source>
        <translation>Das zuletzt gezeichnete Polygon entfernen</translation>
    </message>
    <message>
        <source>Take the classes of a classes.json or of a model</source>
        <translation>Die Klassen einer classes.json oder eines Modells übernehmen</translation>
    </message>
    <message>
        <source>Tell in the log where in the engine an error arose</source>
        <translation>Im Protokoll angeben, wo in der Engine ein Fehler entstand</translation>
    </message>
    <message>
        <source>Test Engine</source>
        <translation>Engine testen</translation>
    </message>
    <message>
        <source>Test of the engine</source>
        <translation>Test der Engine</translation>
    </message>
    <message>
        <source>Test the engine</source>
        <translation>Engine testen</translation>
    </message>
    <message>
        <source>Testing</source>
        <translation>Test läuft</translation>
    </message>
    <message>
        <source>The backbone has random weights and does not learn; download published ones or give a file.</source>
        <translation>Das Backbone hat zufällige Gewichte und lernt nicht; veröffentlichte herunterladen oder eine Datei angeben.</translation>
    </message>
    <message>
        <source>The command was copied.</source>
        <translation>Der Befehl wurde kopiert.</translation>
    </message>
    <message>
        <source>The command was copied; it names temporary files, which go when QGIS is closed.</source>
        <translation>Der Befehl wurde kopiert; er nennt temporäre Dateien, die mit QGIS verschwinden.</translation>
    </message>
    <message>
        <source>The dialog cannot be opened; is the Processing plugin on?</source>
        <translation>Der Dialog lässt sich nicht öffnen; ist die Erweiterung Verarbeitung (Processing) aktiv?</translation>
    </message>
    <message>
        <source>The disk is full ({}); free some space and run again.</source>
        <translation>Der Datenträger ist voll ({}); Platz schaffen und erneut starten.</translation>
    </message>
    <message>
        <source>The engine computes in a Python of its own; that of QGIS stays as it is. If you press Set Up, the commands below make an environment in&lt;br&gt;&lt;b&gt;{}&lt;/b&gt;&lt;br&gt;with packages from the place you choose. Remove takes it away, as does deleting the folder.</source>
        <translation>Die Engine rechnet in einem eigenen Python; das von QGIS bleibt, wie es ist. Mit „Einrichten“ legen die folgenden Befehle eine Umgebung an in&lt;br&gt;&lt;b&gt;{}&lt;/b&gt;&lt;br&gt;mit Paketen aus der gewählten Quelle. „Entfernen“ nimmt sie wieder weg, ebenso das Löschen des Ordners.</translation>
    </message>
    <message>
        <source>The engine ended without a result; see the log.</source>
        <translation>Die Engine endete ohne Ergebnis; siehe Protokoll.</translation>
    </message>
    <message>
        <source>The engine gave no result.</source>
        <translation>Die Engine gab kein Ergebnis.</translation>
    </message>
    <message>
        <source>The engine is ready: Python {}, {}.</source>
        <translation>Die Engine ist bereit: Python {}, {}.</translation>
    </message>
    <message>
        <source>The engine made {} polygons of a mask with two classes; install the plugin again.</source>
        <translation>Die Engine machte {} Polygone aus einer Maske mit zwei Klassen; die Erweiterung neu installieren.</translation>
    </message>
    <message>
        <source>The engine stopped unexpectedly (exit {}); see the log.</source>
        <translation>Die Engine brach unerwartet ab (Code {}); siehe Protokoll.</translation>
    </message>
    <message>
        <source>The engine was interrupted from outside; run again to continue.</source>
        <translation>Die Engine wurde von außen unterbrochen; erneut starten, um fortzufahren.</translation>
    </message>
    <message>
        <source>The engine was killed by signal 9, most often for lack of memory; free some memory or lower the batch size and run again.</source>
        <translation>Die Engine wurde durch Signal 9 beendet, meist aus Mangel an Speicher; Speicher freigeben oder die Batchgröße senken und erneut starten.</translation>
    </message>
    <message>
        <source>The engine was killed by signal {}; run again.</source>
        <translation>Die Engine wurde durch Signal {} beendet; erneut starten.</translation>
    </message>
    <message>
        <source>The engine's Python is now {}.</source>
        <translation>Das Python der Engine ist jetzt {}.</translation>
    </message>
    <message>
        <source>The engine's Python {} ({}) {}; choose another with Raster &gt; wsss-geo &gt; Choose Engine, or make one with Set Up Engine.</source>
        <translation>Das Python der Engine {} ({}) {}; mit Raster &gt; wsss-geo &gt; Engine wählen ein anderes wählen oder mit „Engine einrichten“ eines anlegen.</translation>
    </message>
    <message>
        <source>The engine's Python {} cannot be started ({}).</source>
        <translation>Das Python der Engine {} lässt sich nicht starten ({}).</translation>
    </message>
    <message>
        <source>The engine's Python {} {}.</source>
        <translation>Das Python der Engine {} {}.</translation>
    </message>
    <message>
        <source>The engine's packages do not load ({}); install them again.</source>
        <translation>Die Pakete der Engine lassen sich nicht laden ({}); sie neu installieren.</translation>
    </message>
    <message>
        <source>The engine's result lacks {}; is it of another version?</source>
        <translation>Dem Ergebnis der Engine fehlt {}; ist sie von anderer Version?</translation>
    </message>
    <message>
        <source>The environment cannot be made in {} ({}); check rights and disk.</source>
        <translation>Die Umgebung lässt sich in {} nicht anlegen ({}); Rechte und Datenträger prüfen.</translation>
    </message>
    <message>
        <source>The environment was removed.</source>
        <translation>Die Umgebung wurde entfernt.</translation>
    </message>
    <message>
        <source>The extent does not touch layer “{}”; choose one that does.</source>
        <translation>Die Ausdehnung berührt Layer „{}“ nicht; eine andere wählen.</translation>
    </message>
    <message>
        <source>The extent is {:,} x {:,} pixels at the model's {:.3g} m, too many to ask a server for; choose a smaller extent.</source>
        <translation>Die Ausdehnung hat {:,} x {:,} Pixel bei {:.3g} m des Modells, zu viele, um sie von einem Server abzurufen; eine kleinere Ausdehnung wählen.</translation>
    </message>
    <message>
        <source>The field with the class is not chosen; choose a field of the layer of tags.</source>
        <translation>Das Feld mit der Klasse ist nicht gewählt; ein Feld des Layers mit Schlagwörtern wählen.</translation>
    </message>
    <message>
        <source>The field with the class is not chosen; choose a field of the reference polygons.</source>
        <translation>Das Feld mit der Klasse ist nicht gewählt; ein Feld der Referenzpolygone wählen.</translation>
    </message>
    <message>
        <source>The folder is filled, where there is a network, by</source>
        <translation>Wo es ein Netzwerk gibt, füllt dieser Befehl den Ordner:</translation>
    </message>
    <message>
        <source>The layer of examples cannot be read; choose another.</source>
        <translation>Der Layer mit den Beispielen ist nicht lesbar; einen anderen wählen.</translation>
    </message>
    <message>
        <source>The layer of scenes cannot be read; open its file.</source>
        <translation>Der Layer mit den Szenen ist nicht lesbar; seine Datei öffnen.</translation>
    </message>
    <message>
        <source>The layer of scenes was removed; its tags are in {}.</source>
        <translation>Der Layer mit den Szenen wurde entfernt; seine Schlagwörter sind in {}.</translation>
    </message>
    <message>
        <source>The map shows nothing of “{}”; zoom to the layer.</source>
        <translation>Die Karte zeigt nichts von „{}“; auf den Layer zoomen.</translation>
    </message>
    <message>
        <source>The map shows {:,} pixels of “{}”, too many for a preview; zoom in.</source>
        <translation>Die Karte zeigt {:,} Pixel von „{}“, zu viele für eine Vorschau; hineinzoomen.</translation>
    </message>
    <message>
        <source>The model card in {} is damaged; train or download the model again.</source>
        <translation>Die Modellkarte in {} ist beschädigt; das Modell neu trainieren oder herunterladen.</translation>
    </message>
    <message>
        <source>The model does not say its ground sample distance; save the layer as a file.</source>
        <translation>Das Modell nennt seine Bodenauflösung nicht; den Layer als Datei speichern.</translation>
    </message>
    <message>
        <source>The new Python loads version {} of the engine, and the plugin is version {}; install the plugin again.</source>
        <translation>Das neue Python lädt Version {} der Engine, und die Erweiterung hat Version {}; die Erweiterung neu installieren.</translation>
    </message>
    <message>
        <source>The package index has no wheel of {} for Python {}; choose another Python, best 3.12.</source>
        <translation>Der Paketindex hat kein Wheel von {} für Python {}; ein anderes Python wählen, am besten 3.12.</translation>
    </message>
    <message>
        <source>The raster holds activation maps (predict --cam): take the warmest class</source>
        <translation>Das Raster enthält Aktivierungskarten (predict --cam): die Klasse mit der höchsten Aktivierung nehmen</translation>
    </message>
    <message>
        <source>The raster holds class activation maps</source>
        <translation>Das Raster enthält Klassenaktivierungskarten</translation>
    </message>
    <message>
        <source>The raster is read window by window, so its size does not matter. Mask, confidence and class activation maps keep its grid and CRS. Choose an extent or polygons to segment only a part. The report lists the area of every class.

The layer is a file that QGIS opened with GDAL (GeoTIFF, VRT, JPEG 2000, …), or an online layer (XYZ, WMS, WMTS), of which the extent is fetched first at the model's ground sample distance.</source>
        <translation>Das Raster wird Fenster für Fenster gelesen, seine Größe spielt also keine Rolle. Maske, Konfidenz und Klassenaktivierungskarten behalten sein Gitter und KBS. Eine Ausdehnung oder Polygone beschränken die Segmentierung auf einen Teil. Der Bericht nennt die Fläche jeder Klasse.

Der Layer ist eine Datei, die QGIS mit GDAL geöffnet hat (GeoTIFF, VRT, JPEG 2000, …), oder ein Onlinelayer (XYZ, WMS, WMTS), dessen Ausdehnung zuerst mit der Bodenauflösung des Modells abgerufen wird.</translation>
    </message>
    <message>
        <source>The raster layer is missing or cannot be read; choose another.</source>
        <translation>Der Rasterlayer fehlt oder ist nicht lesbar; einen anderen wählen.</translation>
    </message>
    <message>
        <source>The report names the engine's Python, the versions of its packages and the devices it can compute on. The job turns a small mask into polygons, whose area is checked.</source>
        <translation>Der Bericht nennt das Python der Engine, die Versionen seiner Pakete und die Geräte, auf denen es rechnen kann. Die Aufgabe macht aus einer kleinen Maske Polygone, deren Fläche geprüft wird.</translation>
    </message>
    <message>
        <source>The results end with the extent, and nothing else is read: quick on large rasters.</source>
        <translation>Die Ergebnisse enden mit der Ausdehnung, und nichts sonst wird gelesen: schnell bei großen Rastern.</translation>
    </message>
    <message>
        <source>The run folder receives the model (model.safetensors), its curves (metrics.csv) and previews. Training can be cancelled; the same run folder continues where it stopped. Without a graphics card use few steps and a small backbone.</source>
        <translation>Der Trainingsordner erhält das Modell (model.safetensors), seinen Verlauf (metrics.csv) und Vorschauen. Das Training lässt sich abbrechen; mit demselben Ordner geht es dort weiter, wo es aufhörte. Ohne Grafikkarte wenige Schritte und ein kleines Backbone verwenden.</translation>
    </message>
    <message>
        <source>The server of “{}” drew nothing here{}; check network, extent and zoom levels.</source>
        <translation>Der Server von „{}“ hat hier nichts gezeichnet{}; Netzwerk, Ausdehnung und Zoomstufen prüfen.</translation>
    </message>
    <message>
        <source>The set-up needs about {:.1f} GB in {}, and {:.1f} GB are free; free some space.</source>
        <translation>Die Einrichtung braucht etwa {:.1f} GB in {}, und {:.1f} GB sind frei; Platz schaffen.</translation>
    </message>
    <message>
        <source>The tags cannot be written to “{}”; check that its file is there and may be changed.</source>
        <translation>Die Schlagwörter lassen sich nicht in „{}“ schreiben; prüfen, ob seine Datei da ist und geändert werden darf.</translation>
    </message>
    <message>
        <source>The temporary layer of scenes was removed.</source>
        <translation>Der temporäre Layer mit den Szenen wurde entfernt.</translation>
    </message>
    <message>
        <source>The test gave no result.</source>
        <translation>Der Test gab kein Ergebnis.</translation>
    </message>
    <message>
        <source>The tile set must hold masks: give “Make tile set” a mask raster as file of tags. Training plays the search over and over, for one class of the masks after the other, and the model then also finds what had no class there; the more kinds of things the masks tell apart, the better.

Features come from a backbone that does not learn, so it needs weights: those that are published for it, or a file, such as a model of “Train model from tags” for the same bands, whose backbone is then taken.

The run folder receives the model (fewshot.safetensors) and its curves (metrics.csv). Training can be cancelled; the same run folder continues where it stopped.</source>
        <translation>Der Kachelsatz muss Masken enthalten: „Kachelsatz erstellen“ bekommt dazu ein Maskenraster als Datei mit Schlagwörtern. Das Training spielt die Suche immer wieder durch, für eine Klasse der Masken nach der anderen; danach findet das Modell auch, was dort keine Klasse hatte. Je mehr Arten von Dingen die Masken unterscheiden, desto besser.

Merkmale liefert ein Backbone, das nicht lernt und darum Gewichte braucht: die für es veröffentlichten oder eine Datei, etwa ein Modell von „Modell aus Schlagwörtern trainieren“ für dieselben Kanäle, dessen Backbone dann übernommen wird.

Der Trainingsordner erhält das Modell (fewshot.safetensors) und seinen Verlauf (metrics.csv). Das Training lässt sich abbrechen; mit demselben Ordner geht es dort weiter, wo es aufhörte.</translation>
    </message>
    <message>
        <source>There are no classes yet; add one first.</source>
        <translation>Es gibt noch keine Klassen; zuerst eine hinzufügen.</translation>
    </message>
    <message>
        <source>There are no models here. “Train model from tags” makes one; or choose another folder.</source>
        <translation>Hier gibt es keine Modelle. „Modell aus Schlagwörtern trainieren“ erzeugt eines; oder einen anderen Ordner wählen.</translation>
    </message>
    <message>
        <source>This Python cannot make environments; install its venv package or choose another.</source>
        <translation>Dieses Python kann keine Umgebungen anlegen; sein venv-Paket installieren oder ein anderes wählen.</translation>
    </message>
    <message>
        <source>This layer has no pixels of its own.</source>
        <translation>Dieser Layer hat keine eigenen Pixel.</translation>
    </message>
    <message>
        <source>This layer is temporary: save the scenes to keep their tags.</source>
        <translation>Dieser Layer ist temporär: die Szenen speichern, um ihre Schlagwörter zu behalten.</translation>
    </message>
    <message>
        <source>Threads</source>
        <translation>Threads</translation>
    </message>
    <message>
        <source>Threads that decode the raster</source>
        <translation>Threads, die das Raster dekodieren</translation>
    </message>
    <message>
        <source>Tile set</source>
        <translation>Kachelsatz</translation>
    </message>
    <message>
        <source>Tile set (folder)</source>
        <translation>Kachelsatz (Ordner)</translation>
    </message>
    <message>
        <source>Tile set with masks (folder)</source>
        <translation>Kachelsatz mit Masken (Ordner)</translation>
    </message>
    <message>
        <source>Tile size</source>
        <translation>Kachelgröße</translation>
    </message>
    <message>
        <source>Tile size (pixels)</source>
        <translation>Kachelgröße (Pixel)</translation>
    </message>
    <message>
        <source>Tile step (pixels)</source>
        <translation>Kachelschritt (Pixel)</translation>
    </message>
    <message>
        <source>Tiles</source>
        <translation>Kacheln</translation>
    </message>
    <message>
        <source>Tiles a batch</source>
        <translation>Kacheln je Batch</translation>
    </message>
    <message>
        <source>Tiles a step</source>
        <translation>Kacheln je Schritt</translation>
    </message>
    <message>
        <source>Tiles along the side of a training view: neighbours seen together</source>
        <translation>Kacheln entlang der Seite einer Trainingsansicht: Nachbarn werden zusammen gesehen</translation>
    </message>
    <message>
        <source>Tiles of each class (JSON)</source>
        <translation>Kacheln jeder Klasse (JSON)</translation>
    </message>
    <message>
        <source>Tiles with both</source>
        <translation>Kacheln mit beiden</translation>
    </message>
    <message>
        <source>Train Few-Shot Model…</source>
        <translation>Few-Shot-Modell trainieren…</translation>
    </message>
    <message>
        <source>Train Model From Tags…</source>
        <translation>Modell aus Schlagwörtern trainieren…</translation>
    </message>
    <message>
        <source>Train few-shot model</source>
        <translation>Few-Shot-Modell trainieren</translation>
    </message>
    <message>
        <source>Train model from tags</source>
        <translation>Modell aus Schlagwörtern trainieren</translation>
    </message>
    <message>
        <source>Train this model on: the same network, all of its weights</source>
        <translation>Dieses Modell weitertrainieren: dasselbe Netz mit allen Gewichten</translation>
    </message>
    <message>
        <source>Trained where</source>
        <translation>Trainiert wo</translation>
    </message>
    <message>
        <source>Trained with</source>
        <translation>Trainiert mit</translation>
    </message>
    <message>
        <source>Training</source>
        <translation>Training</translation>
    </message>
    <message>
        <source>Training of a few-shot model</source>
        <translation>Training eines Few-Shot-Modells</translation>
    </message>
    <message>
        <source>Training steps</source>
        <translation>Trainingsschritte</translation>
    </message>
    <message>
        <source>Training view (pixels)</source>
        <translation>Trainingsansicht (Pixel)</translation>
    </message>
    <message>
        <source>Trains a model that learns to compare: “Find similar” finds with it what a few polygons show.</source>
        <translation>Trainiert ein Modell, das vergleichen lernt: „Ähnliches finden“ findet damit, was einige Polygone zeigen.</translation>
    </message>
    <message>
        <source>Trains a segmentation model from scenes that are only tagged with the classes that occur in them.</source>
        <translation>Trainiert ein Segmentierungsmodell aus Szenen, die nur mit den darin vorkommenden Klassen verschlagwortet sind.</translation>
    </message>
    <message>
        <source>Turns a mask raster into polygons with class, area and confidence.</source>
        <translation>Macht aus einem Maskenraster Polygone mit Klasse, Fläche und Konfidenz.</translation>
    </message>
    <message>
        <source>Turns a raster layer into a land-cover mask and polygons with a trained model.</source>
        <translation>Macht aus einem Rasterlayer mit einem trainierten Modell eine Maske und Polygone der Landbedeckung.</translation>
    </message>
    <message>
        <source>Undo</source>
        <translation>Rückgängig</translation>
    </message>
    <message>
        <source>Unsure pixels as a class of their own</source>
        <translation>Unsichere Pixel als eigene Klasse</translation>
    </message>
    <message>
        <source>Untag</source>
        <translation>Leeren</translation>
    </message>
    <message>
        <source>Untagged</source>
        <translation>Offen</translation>
    </message>
    <message>
        <source>Use the backbone weights in this file</source>
        <translation>Die Backbone-Gewichte in dieser Datei verwenden</translation>
    </message>
    <message>
        <source>Use the weights that timm publishes for the backbone</source>
        <translation>Die Gewichte verwenden, die timm für das Backbone veröffentlicht</translation>
    </message>
    <message>
        <source>Valid</source>
        <translation>Gültig</translation>
    </message>
    <message>
        <source>Value</source>
        <translation>Wert</translation>
    </message>
    <message>
        <source>Vectorize mask</source>
        <translation>Maske vektorisieren</translation>
    </message>
    <message>
        <source>Version</source>
        <translation>Version</translation>
    </message>
    <message>
        <source>Versions (JSON)</source>
        <translation>Versionen (JSON)</translation>
    </message>
    <message>
        <source>Weights (*.safetensors *.pth *.pt)</source>
        <translation>Gewichte (*.safetensors *.pth *.pt)</translation>
    </message>
    <message>
        <source>What to call it</source>
        <translation>Name des Gesuchten</translation>
    </message>
    <message>
        <source>What was drawn lies outside the CRS of “{}”.</source>
        <translation>Das Gezeichnete liegt außerhalb des KBS von „{}“.</translation>
    </message>
    <message>
        <source>Where algorithms compute unless told otherwise</source>
        <translation>Wo Algorithmen rechnen, wenn nichts anderes angegeben ist</translation>
    </message>
    <message>
        <source>Where the examples were drawn; the raster layer to search unless given.</source>
        <translation>Worin die Beispiele gezeichnet wurden; ohne Angabe der zu durchsuchende Rasterlayer.</translation>
    </message>
    <message>
        <source>Where to compute</source>
        <translation>Wo gerechnet wird</translation>
    </message>
    <message>
        <source>Whole layer</source>
        <translation>Ganzer Layer</translation>
    </message>
    <message>
        <source>Whose scores decide</source>
        <translation>Wessen Werte entscheiden</translation>
    </message>
    <message>
        <source>Window overlap (share)</source>
        <translation>Überlappung der Fenster (Anteil)</translation>
    </message>
    <message>
        <source>Window side in pixels; the model's tile size unless given</source>
        <translation>Seitenlänge der Fenster in Pixeln; ohne Angabe die Kachelgröße des Modells</translation>
    </message>
    <message>
        <source>Window size (pixels)</source>
        <translation>Fenstergröße (Pixel)</translation>
    </message>
    <message>
        <source>Windows a batch</source>
        <translation>Fenster je Batch</translation>
    </message>
    <message>
        <source>Write a STAC item</source>
        <translation>STAC-Item schreiben</translation>
    </message>
    <message>
        <source>Write a STAC item beside the mask</source>
        <translation>Ein STAC-Item neben die Maske schreiben</translation>
    </message>
    <message>
        <source>Write the extent alone</source>
        <translation>Nur die Ausdehnung schreiben</translation>
    </message>
    <message>
        <source>Wrong or missing value: {}.</source>
        <translation>Falscher oder fehlender Wert: {}.</translation>
    </message>
    <message>
        <source>YAML file of settings; options given beside it win</source>
        <translation>YAML-Datei mit Einstellungen; daneben angegebene Optionen haben Vorrang</translation>
    </message>
    <message>
        <source>[Set up by the plugin, or WSSS_GEO_PYTHON]</source>
        <translation>[Von der Erweiterung eingerichtet, oder WSSS_GEO_PYTHON]</translation>
    </message>
    <message>
        <source>[Temporary folder]</source>
        <translation>[Temporärer Ordner]</translation>
    </message>
    <message>
        <source>[Temporary layer]</source>
        <translation>[Temporärer Layer]</translation>
    </message>
    <message>
        <source>[The same raster]</source>
        <translation>[Dasselbe Raster]</translation>
    </message>
    <message>
        <source>about {:.0f} min left</source>
        <translation>noch etwa {:.0f} min</translation>
    </message>
    <message>
        <source>about {:.0f} s left</source>
        <translation>noch etwa {:.0f} s</translation>
    </message>
    <message>
        <source>about {:.1f} h left</source>
        <translation>noch etwa {:.1f} h</translation>
    </message>
    <message>
        <source>calibrate</source>
        <translation>Kalibrierung</translation>
    </message>
    <message>
        <source>calibrated by {:,} tagged scenes, temperature {:.2f}; {} from how often it is right, {} without</source>
        <translation>kalibriert an {:,} verschlagworteten Szenen, Temperatur {:.2f}; im Mittel {} neben der Trefferquote, ohne sie {}</translation>
    </message>
    <message>
        <source>cannot be started ({})</source>
        <translation>lässt sich nicht starten ({})</translation>
    </message>
    <message>
        <source>chips</source>
        <translation>Bildausschnitte</translation>
    </message>
    <message>
        <source>chosen in QGIS</source>
        <translation>in QGIS gewählt</translation>
    </message>
    <message>
        <source>classes</source>
        <translation>Klassen</translation>
    </message>
    <message>
        <source>classes.json; without it the classes are those of the tags</source>
        <translation>classes.json; ohne sie sind die Klassen die der Schlagwörter</translation>
    </message>
    <message>
        <source>classes.json; without it the names in the mask</source>
        <translation>classes.json; ohne sie die Namen in der Maske</translation>
    </message>
    <message>
        <source>classes.json; without it those of the model or the mask</source>
        <translation>classes.json; ohne sie die des Modells oder der Maske</translation>
    </message>
    <message>
        <source>compare</source>
        <translation>Vergleich</translation>
    </message>
    <message>
        <source>confidence calibrated</source>
        <translation>Konfidenz kalibriert</translation>
    </message>
    <message>
        <source>confidence not calibrated</source>
        <translation>Konfidenz nicht kalibriert</translation>
    </message>
    <message>
        <source>did not answer within {} s</source>
        <translation>antwortete nicht binnen {} s</translation>
    </message>
    <message>
        <source>does not answer like a Python (exit {}{})</source>
        <translation>antwortet nicht wie ein Python (Code {}{})</translation>
    </message>
    <message>
        <source>does not exist</source>
        <translation>existiert nicht</translation>
    </message>
    <message>
        <source>engine, diagnostics, torch, GPU, self-test</source>
        <translation>Engine, Diagnose, torch, GPU, Selbsttest</translation>
    </message>
    <message>
        <source>environment variable WSSS_GEO_PYTHON</source>
        <translation>Umgebungsvariable WSSS_GEO_PYTHON</translation>
    </message>
    <message>
        <source>evaluate, accuracy, IoU, F1, confusion matrix, validation</source>
        <translation>bewerten, Genauigkeit, IoU, F1, Konfusionsmatrix, Validierung</translation>
    </message>
    <message>
        <source>few-shot model, for “Find similar”</source>
        <translation>Few-Shot-Modell, für „Ähnliches finden“</translation>
    </message>
    <message>
        <source>few-shot, examples, similar, search, one-shot, polygons, deep learning</source>
        <translation>Few-Shot, Beispiele, ähnlich, Suche, One-Shot, Polygone, Deep Learning</translation>
    </message>
    <message>
        <source>found</source>
        <translation>gefunden</translation>
    </message>
    <message>
        <source>images</source>
        <translation>Bilder</translation>
    </message>
    <message>
        <source>index.html</source>
        <translation>index_de.html</translation>
    </message>
    <message>
        <source>is QGIS itself, not a Python</source>
        <translation>ist QGIS selbst, kein Python</translation>
    </message>
    <message>
        <source>is version {}, and {} or later is needed</source>
        <translation>hat Version {}, und {} oder neuer ist nötig</translation>
    </message>
    <message>
        <source>lacks {}</source>
        <translation>hat diese Pakete nicht: {}</translation>
    </message>
    <message>
        <source>land cover, segmentation, classification, deep learning, mask, polygons, ViT, predict</source>
        <translation>Landbedeckung, Segmentierung, Klassifizierung, Deep Learning, Maske, Polygone, ViT, Vorhersage</translation>
    </message>
    <message>
        <source>loading</source>
        <translation>Laden</translation>
    </message>
    <message>
        <source>masks</source>
        <translation>Masken</translation>
    </message>
    <message>
        <source>method {}, trained on {:,} tags</source>
        <translation>Methode {}, trainiert an {:,} Schlagwörtern</translation>
    </message>
    <message>
        <source>none</source>
        <translation>keine</translation>
    </message>
    <message>
        <source>none of the classes</source>
        <translation>keine der Klassen</translation>
    </message>
    <message>
        <source>not calibrated: it says which pixels are surer than others, not how often they are right</source>
        <translation>nicht kalibriert: Sie sagt, welche Pixel sicherer sind als andere, nicht, wie oft sie stimmen</translation>
    </message>
    <message>
        <source>not given</source>
        <translation>nicht angegeben</translation>
    </message>
    <message>
        <source>packages</source>
        <translation>Pakete</translation>
    </message>
    <message>
        <source>polygonize, vectorise, mask, land cover, polygons, simplify</source>
        <translation>polygonisieren, vektorisieren, Maske, Landbedeckung, Polygone, vereinfachen</translation>
    </message>
    <message>
        <source>polygons</source>
        <translation>Polygone</translation>
    </message>
    <message>
        <source>predict</source>
        <translation>Segmentierung</translation>
    </message>
    <message>
        <source>rasters</source>
        <translation>Raster</translation>
    </message>
    <message>
        <source>rows</source>
        <translation>Zeilen</translation>
    </message>
    <message>
        <source>scenes, grid, tags, tiles, training data, fishnet</source>
        <translation>Szenen, Gitter, Schlagwörter, Kacheln, Trainingsdaten, Netz</translation>
    </message>
    <message>
        <source>search</source>
        <translation>Suche</translation>
    </message>
    <message>
        <source>the engine failed</source>
        <translation>die Engine ist gescheitert</translation>
    </message>
    <message>
        <source>the plugin's own environment</source>
        <translation>die eigene Umgebung der Erweiterung</translation>
    </message>
    <message>
        <source>tiles</source>
        <translation>Kacheln</translation>
    </message>
    <message>
        <source>tiles, chips, scenes, tags, training data, land cover</source>
        <translation>Kacheln, Bildausschnitte, Szenen, Schlagwörter, Trainingsdaten, Landbedeckung</translation>
    </message>
    <message>
        <source>train</source>
        <translation>Training</translation>
    </message>
    <message>
        <source>train, few-shot, examples, similar, episodes, deep learning, model</source>
        <translation>Training, Few-Shot, Beispiele, ähnlich, Episoden, Deep Learning, Modell</translation>
    </message>
    <message>
        <source>train, weakly supervised, tags, deep learning, ViT, land cover, model</source>
        <translation>trainieren, schwach überwacht, Schlagwörter, Deep Learning, ViT, Landbedeckung, Modell</translation>
    </message>
    <message>
        <source>trained on {}</source>
        <translation>trainiert an {}</translation>
    </message>
    <message>
        <source>training score {:.2f}</source>
        <translation>Kennwert des Trainings {:.2f}</translation>
    </message>
    <message>
        <source>untagged</source>
        <translation>offen</translation>
    </message>
    <message>
        <source>was set up by version {} of the plugin, and version {} needs other packages; set it up again with Raster &gt; wsss-geo &gt; Set Up Engine</source>
        <translation>wurde von Version {} der Erweiterung eingerichtet, und Version {} braucht andere Pakete; mit Raster &gt; wsss-geo &gt; Engine einrichten neu einrichten</translation>
    </message>
    <message>
        <source>water, field, forest</source>
        <translation>Wasser, Feld, Wald</translation>
    </message>
    <message>
        <source>wsss-geo needs a Python with torch and rasterio, and none is set up; make one with Raster &gt; wsss-geo &gt; Set Up Engine, choose one with Choose Engine, or set the environment variable {}.</source>
        <translation>wsss-geo braucht ein Python mit torch und rasterio, und keines ist eingerichtet; eines mit Raster &gt; wsss-geo &gt; Engine einrichten anlegen, mit „Engine wählen“ eines wählen oder die Umgebungsvariable {} setzen.</translation>
    </message>
    <message>
        <source>{:,.1f} MB</source>
        <translation>{:,.1f} MB</translation>
    </message>
    <message>
        <source>{:,} scenes are too many; choose larger ones.</source>
        <translation>{:,} Szenen sind zu viele; größere wählen.</translation>
    </message>
    <message>
        <source>{:,} scenes in {:,} rows and {:,} columns</source>
        <translation>{:,} Szenen in {:,} Zeilen und {:,} Spalten</translation>
    </message>
    <message>
        <source>{:,} scenes measured</source>
        <translation>{:,} Szenen gemessen</translation>
    </message>
    <message>
        <source>{:.1%} of the extent was not drawn and is left out.</source>
        <translation>{:.1%} der Ausdehnung wurden nicht gezeichnet und bleiben weg.</translation>
    </message>
    <message>
        <source>{:.3g} m</source>
        <translation>{:.3g} m</translation>
    </message>
    <message>
        <source>{:.3g} m a pixel</source>
        <translation>{:.3g} m je Pixel</translation>
    </message>
    <message>
        <source>{:.4f} to {:.4f}° east, {:.4f} to {:.4f}° north</source>
        <translation>{:.4f} bis {:.4f}° Ost, {:.4f} bis {:.4f}° Nord</translation>
    </message>
    <message>
        <source>{} %</source>
        <translation>{} %</translation>
    </message>
    <message>
        <source>{} bands: {}</source>
        <translation>{} Kanäle: {}</translation>
    </message>
    <message>
        <source>{} belongs to QGIS; choose a Python of its own.</source>
        <translation>{} gehört zu QGIS; ein eigenes Python wählen.</translation>
    </message>
    <message>
        <source>{} cannot be read ({}).</source>
        <translation>{} ist nicht lesbar ({}).</translation>
    </message>
    <message>
        <source>{} cannot be read as a vector layer.</source>
        <translation>{} ist nicht als Vektorlayer lesbar.</translation>
    </message>
    <message>
        <source>{} cannot be removed ({}); end what uses it and try again.</source>
        <translation>{} lässt sich nicht entfernen ({}); beenden, was es benutzt, und erneut versuchen.</translation>
    </message>
    <message>
        <source>{} cannot be written ({}).</source>
        <translation>{} lässt sich nicht schreiben ({}).</translation>
    </message>
    <message>
        <source>{} cannot be written ({}); check folder and rights.</source>
        <translation>{} lässt sich nicht schreiben ({}); Ordner und Rechte prüfen.</translation>
    </message>
    <message>
        <source>{} cannot be written; check the folder for temporary files.</source>
        <translation>{} lässt sich nicht schreiben; den Ordner für temporäre Dateien prüfen.</translation>
    </message>
    <message>
        <source>{} does not exist.</source>
        <translation>{} existiert nicht.</translation>
    </message>
    <message>
        <source>{} does not exist; choose a Python.</source>
        <translation>{} existiert nicht; ein Python wählen.</translation>
    </message>
    <message>
        <source>{} exists; open it to go on, or choose another name.</source>
        <translation>{} existiert schon; die Datei öffnen, um fortzufahren, oder einen anderen Namen wählen.</translation>
    </message>
    <message>
        <source>{} failed (exit {}); the log tells more.</source>
        <translation>„{}“ ist fehlgeschlagen (Code {}); Näheres steht im Protokoll.</translation>
    </message>
    <message>
        <source>{} failed because the disk is full; free some space and set up again.</source>
        <translation>„{}“ ist fehlgeschlagen, weil der Datenträger voll ist; Platz schaffen und erneut einrichten.</translation>
    </message>
    <message>
        <source>{} failed because the package index cannot be reached; check network and proxy (Settings &gt; Options &gt; Network), or install from a folder of wheels.</source>
        <translation>„{}“ ist fehlgeschlagen, weil der Paketindex nicht erreichbar ist; Netzwerk und Proxy prüfen (Einstellungen &gt; Optionen &gt; Netzwerk) oder aus einem Ordner mit Wheels installieren.</translation>
    </message>
    <message>
        <source>{} failed because the server's certificate is not trusted here; ask who runs the network for pip's setting “cert”, or install from a folder of wheels.</source>
        <translation>„{}“ ist fehlgeschlagen, weil dem Zertifikat des Servers hier nicht vertraut wird; beim Betreiber des Netzwerks nach der pip-Einstellung „cert“ fragen oder aus einem Ordner mit Wheels installieren.</translation>
    </message>
    <message>
        <source>{} is an input; choose another name for the output.</source>
        <translation>{} ist eine Eingabe; für die Ausgabe einen anderen Namen wählen.</translation>
    </message>
    <message>
        <source>{} is no few-shot model; choose one made by “Train few-shot model”.</source>
        <translation>{} ist kein Few-Shot-Modell; eines wählen, das „Few-Shot-Modell trainieren“ erzeugt hat.</translation>
    </message>
    <message>
        <source>{} is no model of wsss-geo; choose one made by “Train model from tags”.</source>
        <translation>{} ist kein Modell von wsss-geo; eines wählen, das „Modell aus Schlagwörtern trainieren“ erzeugt hat.</translation>
    </message>
    <message>
        <source>{} is not among the Processing algorithms; load the plugin again.</source>
        <translation>{} ist nicht unter den Verarbeitungsalgorithmen; die Erweiterung neu laden.</translation>
    </message>
    <message>
        <source>{} is open in the project as layer “{}”; choose another name or remove the layer first.</source>
        <translation>{} ist im Projekt als Layer „{}“ geöffnet; einen anderen Namen wählen oder den Layer zuerst entfernen.</translation>
    </message>
    <message>
        <source>{} is open in the project; choose another name, or remove its layer.</source>
        <translation>{} ist im Projekt geöffnet; einen anderen Namen wählen oder den Layer entfernen.</translation>
    </message>
    <message>
        <source>{} is used ({}).</source>
        <translation>{} wird verwendet ({}).</translation>
    </message>
    <message>
        <source>{} is version {}, and {} or later is needed; choose another.</source>
        <translation>{} hat Version {}, und {} oder neuer ist nötig; ein anderes wählen.</translation>
    </message>
    <message>
        <source>{} lacks {}; install them (Debian, Ubuntu: package python3-venv) or choose another.</source>
        <translation>{} hat diese Pakete nicht: {}; sie installieren (Debian, Ubuntu: Paket python3-venv) oder ein anderes Python wählen.</translation>
    </message>
    <message>
        <source>{} pixels</source>
        <translation>{} Pixel</translation>
    </message>
    <message>
        <source>{} was ended from outside (signal {}); set up again, or look for an antivirus program.</source>
        <translation>„{}“ wurde von außen beendet (Signal {}); erneut einrichten oder nach einem Virenscanner sehen.</translation>
    </message>
    <message>
        <source>{} was kept from writing or starting a file, as by an antivirus program or missing rights; allow the folder there and set up again.</source>
        <translation>„{}“ durfte eine Datei nicht schreiben oder starten, etwa wegen eines Virenscanners oder fehlender Rechte; den Ordner dort freigeben und erneut einrichten.</translation>
    </message>
    <message>
        <source>{} x {} pixels</source>
        <translation>{} x {} Pixel</translation>
    </message>
    <message>
        <source>{} {}.</source>
        <translation>{} {}.</translation>
    </message>
    <message>
        <source>{} {}; choose a Python.</source>
        <translation>{} {}; ein Python wählen.</translation>
    </message>
    <message>
        <source>{}: land cover</source>
        <translation>{}: Landbedeckung</translation>
    </message>
    <message>
        <source>{}: polygons</source>
        <translation>{}: Polygone</translation>
    </message>
    <message>
        <source>{}: where “{}” was found</source>
        <translation>{}: wo „{}“ gefunden wurde</translation>
    </message>
    <message>
        <source>{}: “{}” is not a list of numbers; write it like 0.75,1,1.25.</source>
        <translation>{}: „{}“ ist keine Liste von Zahlen; Schreibweise etwa 0.75,1,1.25.</translation>
    </message>
    <message>
        <source>{}: “{}” is not a list of whole numbers; write it like 1,2,3.</source>
        <translation>{}: „{}“ ist keine Liste ganzer Zahlen; Schreibweise etwa 1,2,3.</translation>
    </message>
    <message>
        <source>{}: “{}” is not name=value; separate pairs by commas.</source>
        <translation>{}: „{}“ ist nicht Name=Wert; Paare durch Kommas trennen.</translation>
    </message>
    <message>
        <source>“{}” cannot be written to {}; check disk and rights.</source>
        <translation>„{}“ lässt sich nicht nach {} schreiben; Datenträger und Rechte prüfen.</translation>
    </message>
    <message>
        <source>“{}” has no scenes; make a grid first.</source>
        <translation>„{}“ hat keine Szenen; zuerst ein Gitter erstellen.</translation>
    </message>
    <message>
        <source>“{}” holds no polygon; draw polygons around a few examples, or select some.</source>
        <translation>„{}“ enthält kein Polygon; Polygone um einige Beispiele zeichnen oder welche wählen.</translation>
    </message>
    <message>
        <source>“{}” is no layer of scenes: it needs polygons and a text field “tags”; make a grid first.</source>
        <translation>„{}“ ist kein Layer mit Szenen: nötig sind Polygone und ein Textfeld „tags“; zuerst ein Gitter erstellen.</translation>
    </message>
    <message>
        <source>“{}”: {} is not a list of tags; correct it in the attribute table.</source>
        <translation>„{}“: {} ist keine Liste von Schlagwörtern; in der Attributtabelle berichtigen.</translation>
    </message>
</context>
</TS>
